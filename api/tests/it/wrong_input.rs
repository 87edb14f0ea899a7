//! Invalid requests to every endpoint of the OpenAPI document: the answer is a problem with the right status, and
//! nothing is changed.

use std::sync::LazyLock;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, TestApp};

use crate::{
    openapi::{is_for_administrators, is_for_attendants, is_public},
    support::{content, noon, spots},
};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(api::routes::document()).unwrap());

/// Text that clients may also send as a number, as the original accepts it.
const MAY_BE_DIGITS: [&str; 6] =
    ["address", "location_name", "phone_number", "pincode", "transaction_id", "vehicle_number"];

/// Paths that also take the form of a page.
const FORMS: [&str; 3] = ["/auth/reset-password", "/auth/verify-email", "/auth/undo-email-change"];

/// An operation of the document.
struct Operation {
    method: Method,
    /// With placeholders for parameters, without `/api`.
    path: &'static str,
    secured: bool,
    /// Whether drivers are refused.
    admin: bool,
    /// The description of its body.
    body: Option<Body>,
    /// The example in the document.
    example: &'static Value,
}

struct Body {
    properties: &'static Map<String, Value>,
    required: Vec<&'static str>,
}

fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let all =
        paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |one| (path, one)));
    all.map(|(path, (method, operation))| {
        let body = operation.get("requestBody").map(|body| {
            let reference =
                body["content"]["application/json"]["schema"]["$ref"].as_str().expect("a named schema");
            let schema = &DOCUMENT["components"]["schemas"][reference.rsplit('/').next().unwrap()];
            let required = schema.get("required").and_then(Value::as_array);
            Body {
                properties: schema["properties"].as_object().unwrap(),
                required: required
                    .map(|names| names.iter().map(|name| name.as_str().unwrap()).collect())
                    .unwrap_or_default(),
            }
        });
        Operation {
            method: method.to_uppercase().parse().unwrap(),
            path: path.strip_prefix("/api").unwrap(),
            secured: !is_public(operation),
            admin: is_for_administrators(operation) || is_for_attendants(operation),
            body,
            example: &operation["requestBody"]["content"]["application/json"]["example"],
        }
    })
    .collect()
}

impl Operation {
    fn takes_text_of_any_kind(&self) -> bool {
        self.path.contains("{task}")
    }

    /// Users may not learn whether other users exist.
    fn is_about_a_user(&self) -> bool {
        self.path.starts_with("/users/{id}") && !self.admin
    }

    fn reads_user_ids_itself(&self) -> bool {
        self.path == "/users/{id}/reservations" || (self.path == "/users/{id}" && self.method == Method::PUT)
    }
}

/// A database with one of everything, for two users.
struct World {
    t: TestApp,
    clock: Clock,
    asha: Driver,
    admin: Driver,
    /// Ids that belong to Ravi: his own, his session, reservation and export.
    ravi: i64,
    his_session: String,
    his_reservation: i64,
    his_export: String,
    lot: i64,
    spot: i64,
}

impl World {
    async fn new(t: TestApp) -> Self {
        let clock = Clock::fixed(noon());
        let t = t.at(clock.clone()).await;
        let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
        let lot = t.lot(2).await;
        let his_reservation = t.book(&ravi, lot).await;
        let spot = spots(&t, lot).await[1];
        let text = |answer: &Answer, pointer: &str| {
            answer.body.pointer(pointer).unwrap().as_str().unwrap().to_owned()
        };
        let his_session = text(&t.get("/auth/sessions", Some(&ravi)).await, "/sessions/0/id");
        let his_export =
            text(&t.post("/export/csv/request", Some(&ravi), json!({})).await.expect(202), "/task_id");
        Self { t, clock, asha, admin, ravi: ravi.id, his_session, his_reservation, his_export, lot, spot }
    }

    /// A user who may call the operation.
    fn caller(&self, operation: &Operation) -> Option<&Driver> {
        if operation.admin { Some(&self.admin) } else { operation.secured.then_some(&self.asha) }
    }

    /// The path with well-formed parameters.
    fn path(&self, operation: &Operation) -> String {
        let id = match operation.path {
            path if ["/parking-lots", "/attendant/lots", "/admin/lots"]
                .iter()
                .any(|start| path.starts_with(start)) =>
            {
                self.lot.to_string()
            }
            path if path.starts_with("/parking-spots") => self.spot.to_string(),
            path if path.starts_with("/users") => self.asha.id.to_string(),
            path if path.starts_with("/reservations") => self.his_reservation.to_string(),
            _ => "0190a0a0-0000-7000-8000-000000000000".to_owned(),
        };
        let name = if operation.path.contains("/queues/") { "mail" } else { "file-cleanup" };
        operation
            .path
            .replace("{id}", &id)
            .replace("{vehicle_id}", "1")
            .replace("{task}", "export-csv")
            .replace("{name}", name)
    }

    async fn send(
        &self,
        operation: &Operation,
        kind: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self
            .t
            .request(operation.method.clone(), &self.path(operation), self.caller(operation))
            .body(body);
        self.t.send(if let Some(kind) = kind { request.header("content-type", kind) } else { request }).await
    }

    async fn unchanged(&self, before: &[String]) {
        let after = content(&self.t).await;
        let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
        assert!(new.is_empty() && lost.is_empty(), "new rows: {new:#?}\nlost rows: {lost:#?}");
    }
}

#[test]
fn table_covers_every_documented_operation() {
    let operations = operations();
    assert!(operations.iter().filter(|operation| operation.body.is_some()).count() >= 7);
    assert!(operations.iter().filter(|operation| operation.secured).count() >= 13);
    assert!(operations.iter().filter(|operation| operation.admin).count() >= 6);
}

/// Defect 50.
#[testkit::both_databases]
async fn malformed_bodies_change_nothing(t: TestApp) {
    let world = World::new(t).await;
    let before = content(&world.t).await;
    let json = Some("application/json");
    for operation in operations() {
        let Some(body) = &operation.body else { continue };
        let optional = body.required.is_empty();
        let name = format!("{} {}", operation.method, operation.path);
        let check = |answer: &Answer, status: u16, code: &str, what: &str| {
            eprintln!("{name}: {what}");
            answer.problem(status, code);
        };
        for text in ["[]", "null", "1", "\"x\"", "true", "[{}]", " [ ] ", "\n1e3\n"] {
            check(&world.send(&operation, json, text).await, 400, "invalid", text);
        }
        for text in [
            "{",
            "{]",
            "{\"",
            "{\"a\":",
            "{}}",
            "{} x",
            "{}{}",
            "not JSON",
            "{\"a\":01}",
            "{'a':1}",
            "\u{feff}{}",
            "{\"a\":1,}",
        ] {
            let answer = world.send(&operation, json, text).await;
            eprintln!("{name}: {text}");
            assert_eq!(answer.status, 400, "{text}: {}", answer.text);
            answer.problem(
                400,
                answer.body["code"]
                    .as_str()
                    .filter(|code| ["malformed_json", "invalid"].contains(code))
                    .expect("a code"),
            );
        }
        check(
            &world.send(&operation, json, vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await,
            400,
            "malformed_json",
            "not UTF-8",
        );
        let property = body.properties.keys().next().unwrap();
        let deep = format!("{{\"{property}\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
        check(&world.send(&operation, json, deep).await, 400, "invalid", "deep");
        let half = world.send(&operation, json, format!("{{\"{property}\":\"\\ud800\"}}")).await;
        assert_eq!(half.status, 400, "{name}: lone surrogate: {}", half.text);
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data"),
            Some("json"),
            Some("application/jsonp"),
            Some(""),
        ] {
            if kind == Some("application/x-www-form-urlencoded") && FORMS.contains(&operation.path) {
                check(&world.send(&operation, kind, "a=1").await, 400, "invalid", "a form without fields");
                continue;
            }
            check(
                &world.send(&operation, kind, "{\"a\":1}").await,
                415,
                "unsupported_media_type",
                &format!("{kind:?}"),
            );
        }
        if !optional {
            check(&world.send(&operation, None, "").await, 415, "unsupported_media_type", "an empty body");
            check(&world.send(&operation, json, "").await, 400, "malformed_json", "an empty JSON body");
            check(&world.send(&operation, json, "   ").await, 400, "malformed_json", "blanks");
            check(&world.send(&operation, json, "{}").await, 400, "invalid", "an empty object");
        }
        let large = format!("{{\"x\":\"{}\"}}", "x".repeat(64 * 1024));
        check(&world.send(&operation, json, large.clone()).await, 413, "body_too_large", "64 KiB");
        check(&world.send(&operation, json, "x".repeat(1024 * 1024)).await, 413, "body_too_large", "1 MiB");
        let pieces = futures::stream::iter(
            large
                .into_bytes()
                .chunks(1_000)
                .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
                .collect::<Vec<_>>(),
        );
        check(
            &world.send(&operation, json, reqwest::Body::wrap_stream(pieces)).await,
            413,
            "body_too_large",
            "64 KiB in pieces",
        );
    }
    world.unchanged(&before).await;
}

/// Example bodies may fail because of the current state, but not as invalid.
#[testkit::both_databases]
async fn documented_example_bodies_are_accepted(t: TestApp) {
    let world = World::new(t).await;
    let mut operations = operations();
    // The caller's account is deleted last, since nothing is accepted from them afterwards.
    operations.sort_by_key(|operation| operation.method == Method::DELETE);
    for operation in operations.iter().filter(|operation| operation.body.is_some()) {
        let answer = world.send(operation, Some("application/json"), operation.example.to_string()).await;
        let acceptable = [200, 201, 202, 403, 404, 409, 410];
        assert!(
            acceptable.contains(&answer.status.as_u16()),
            "{} {}: {}",
            operation.method,
            operation.path,
            answer.text
        );
    }
}

/// Defect 50.
#[testkit::both_databases]
async fn fields_of_the_wrong_type_are_pointed_at(t: TestApp) {
    let world = World::new(t).await;
    let before = content(&world.t).await;
    for operation in operations() {
        let Some(body) = &operation.body else { continue };
        for (property, schema) in body.properties {
            let types = schema["type"].to_string();
            let number = types.contains("integer") || types.contains("number");
            let items = if schema["items"]["type"] == "integer" { json!(["x"]) } else { json!([1]) };
            let mut wrong = vec![json!({}), items, json!({ "a": 1 })];
            if !types.contains("array") {
                wrong.push(json!([]));
            }
            if !types.contains("boolean") {
                wrong.push(json!(true));
            }
            if types.contains("string") && !number && !MAY_BE_DIGITS.contains(&property.as_str()) {
                wrong.push(json!(7));
            }
            if number {
                wrong.extend([json!("seven"), json!(1e300)]);
            }
            if types.contains("integer") {
                wrong.extend([json!(1.5), json!(u64::MAX), json!(-1e19)]);
            }
            if body.required.contains(&property.as_str()) {
                wrong.push(json!(null));
            }
            for value in wrong {
                // The other members have the right type.
                let mut sent = Map::new();
                for (other, schema) in body.properties {
                    let types = schema["type"].to_string();
                    let number = types.contains("integer") || types.contains("number");
                    let good = if operation.example[other].is_object() {
                        operation.example[other].clone()
                    } else if types.contains("boolean") {
                        json!(false)
                    } else if number {
                        json!(1)
                    } else {
                        json!("x")
                    };
                    sent.insert(other.clone(), good);
                }
                sent.insert(property.clone(), value.clone());
                let answer =
                    world.send(&operation, Some("application/json"), Value::Object(sent).to_string()).await;
                eprintln!("{} {}: {property} = {value}", operation.method, operation.path);
                answer.problem(400, "invalid");
                let pointer = answer.body["errors"][0]["pointer"].as_str().unwrap();
                assert_eq!(pointer.split('/').nth(1), Some(property.as_str()), "{}", answer.text);
            }
        }
    }
    world.unchanged(&before).await;
}

#[testkit::both_databases]
async fn protected_routes_reject_bad_tokens(t: TestApp) {
    let world = World::new(t).await;
    let before = content(&world.t).await;
    let secured: Vec<_> = operations().into_iter().filter(|operation| operation.secured).collect();
    let tokens = [None, Some("garbage"), Some(""), Some("a.b.c"), Some("Bearer"), Some("\u{7f}")];
    for operation in &secured {
        for token in tokens {
            for body in ["", "{", "{}", "{\"lot_id\":1}"] {
                let mut request =
                    world.t.request(operation.method.clone(), &world.path(operation), None).body(body);
                if let Some(token) = token.filter(|token| !token.contains('\u{7f}')) {
                    request = request.bearer_auth(token);
                }
                let answer = world.t.send(request.header("content-type", "application/json")).await;
                eprintln!("{} {} {token:?} {body}", operation.method, operation.path);
                answer.problem(401, "unauthenticated");
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
        }
        if operation.admin {
            let request =
                world.t.request(operation.method.clone(), &world.path(operation), Some(&world.asha));
            world.t.send(request).await.problem(403, "forbidden");
        }
    }
    world.clock.advance(TimeDelta::hours(13));
    for operation in &secured {
        let request =
            world.t.request(operation.method.clone(), &world.path(operation), world.caller(operation));
        world
            .t
            .send(request.header("content-type", "application/json").body("{}"))
            .await
            .problem(401, "unauthenticated");
    }
    world.unchanged(&before).await;
}

#[testkit::both_databases]
async fn unknown_and_foreign_ids_change_nothing(t: TestApp) {
    let world = World::new(t).await;
    let before = content(&world.t).await;
    for operation in operations() {
        let Some((start, _)) = operation.path.split_once('{') else { continue };
        let end = operation.path.split_once('}').unwrap().1.replace("{vehicle_id}", "1");
        for wrong in [
            "abc",
            "0",
            "-1",
            "1.5",
            "99999999999999999999",
            "%00",
            "%FF",
            "a%2Fb",
            "..",
            "%2E%2E",
            "'%20OR%201=1--",
            "%F0%9F%9A%97",
        ] {
            if [".", "..", "%2E%2E"].contains(&wrong) {
                continue; // clients resolve these themselves
            }
            let query = if end == "/availability" { "?from=2026-11-21&to=2026-11-22" } else { "" };
            let path = format!("{start}{wrong}{end}{query}");
            let body = match end.as_str() {
                "/payment" => json!({ "payment_method": "cash" }),
                "/vehicles" => json!({ "plate": "MH 1" }),
                "/lots" => json!({ "lot_ids": [] }),
                "/tariffs" => json!({ "tariff": { "currency": "INR", "lines": [
                    { "name": "Day", "amount": 1, "charge": { "kind": "flat" } }] } }),
                "/waive" | "/refund" => json!({ "reason": "broken barrier" }),
                _ => json!({}),
            };
            let request = world.t.request(operation.method.clone(), &path, world.caller(&operation));
            let answer = world.t.send(request.json(&body)).await;
            eprintln!("{} {path}", operation.method);
            let (status, code) = match operation.path {
                _ if operation.takes_text_of_any_kind() && wrong == "%FF" => (404, "not_found"),
                _ if operation.takes_text_of_any_kind() => (400, "unknown_task"),
                _ if operation.is_about_a_user() && ["0", "-1"].contains(&wrong) => (403, "forbidden"),
                _ if operation.reads_user_ids_itself() && wrong != "%FF" => (400, "invalid"),
                _ => (404, "not_found"),
            };
            answer.problem(status, code);
        }
    }
    let (t, asha) = (&world.t, &world.asha);
    let his = &world.his_export;
    t.delete(&format!("/auth/sessions/{}", world.his_session), Some(asha)).await.problem(404, "not_found");
    for path in [
        format!("/export/csv/status/{his}"),
        format!("/export/download/{his}"),
        format!("/tasks/{his}"),
        format!("/tasks/export-csv?task_id={his}"),
    ] {
        t.get(&path, Some(asha)).await.problem(404, "not_found");
    }
    t.post(&format!("/export/csv/cancel/{his}"), Some(asha), json!({})).await.problem(404, "not_found");
    for action in ["occupy-spot", "release-spot"] {
        t.post(&format!("/booking/{action}"), Some(asha), json!({ "reservation_id": world.his_reservation }))
            .await
            .problem(404, "not_found");
    }
    for path in [format!("/users/{}", world.ravi), format!("/users/{}/reservations", world.ravi)] {
        t.get(&path, Some(asha)).await.problem(403, "forbidden");
    }
    for method in [Method::PUT, Method::DELETE] {
        let request = t.request(method, &format!("/users/{}", world.ravi), Some(asha));
        t.send(request.json(&json!({ "username": "Mallory" }))).await.problem(403, "forbidden");
    }
    t.get(&format!("/reservations/{}", world.his_reservation), Some(asha)).await.problem(404, "not_found");
    t.delete(&format!("/reservations/{}", world.his_reservation), Some(asha)).await.problem(404, "not_found");
    t.get(&format!("/users/{}/reservations", world.ravi), Some(asha)).await.problem(403, "forbidden");
    t.get(&format!("/user/activity?user_id={}", world.ravi), Some(asha)).await.problem(403, "forbidden");
    world.unchanged(&before).await;
}

/// Defect 49.
#[testkit::both_databases]
async fn unknown_paths_and_methods_change_nothing(t: TestApp) {
    let world = World::new(t).await;
    let before = content(&world.t).await;
    let operations = operations();
    for operation in &operations {
        let path = world.path(operation);
        let known: Vec<_> = operations
            .iter()
            .filter(|other| other.path == operation.path)
            .map(|other| other.method.clone())
            .collect();
        for method in ["PATCH", "PUT", "DELETE", "GET", "POST", "TRACE", "BREW"] {
            let method: Method = method.parse().unwrap();
            if known.contains(&method) {
                continue;
            }
            let answer =
                world.t.send(world.t.request(method.clone(), &path, world.caller(operation)).body("{")).await;
            eprintln!("{method} {path}");
            answer.problem(405, "method_not_allowed");
            let allow = answer.headers["allow"].to_str().unwrap();
            for known in &known {
                assert!(
                    allow.split(',').any(|method| method.trim() == known.as_str()),
                    "{known} is not in {allow}"
                );
            }
        }
        for nothing in
            [format!("{path}/"), format!("/{path}"), format!("{path}/more/and/more"), path.to_uppercase()]
        {
            let url = if nothing.starts_with("//") { format!("//api/{nothing}") } else { nothing };
            let answer =
                world.t.send(world.t.request(operation.method.clone(), &url, world.caller(operation))).await;
            eprintln!("{} {url}", operation.method);
            answer.problem(404, "not_found");
        }
        let long = format!("{path}?x={}", "x".repeat(8 * 1024));
        world
            .t
            .send(world.t.request(operation.method.clone(), &long, world.caller(operation)))
            .await
            .problem(414, "uri_too_long");
    }
    world.t.get(&format!("/{}", "x".repeat(9_000)), None).await.problem(414, "uri_too_long");
    let fits = format!("/parking-lots?x={}", "x".repeat(8 * 1024 - "/api/parking-lots?x=".len()));
    world.t.get(&fits, None).await.expect(200);
    world.unchanged(&before).await;
}

#[testkit::both_databases]
async fn state_comparison_detects_a_change(t: TestApp) {
    let world = World::new(t).await;
    for (path, body) in [
        ("/booking/book-spot", json!({ "lot_id": world.lot })),
        ("/auth/refresh", json!({})),
        ("/export/csv/request", json!({})),
        ("/auth/logout", json!({})),
    ] {
        let before = content(&world.t).await;
        world.clock.advance(TimeDelta::seconds(1));
        let answer = world.t.post(path, Some(&world.asha), body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        assert_ne!(content(&world.t).await, before, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_bodies_are_rejected_by_the_name_of_the_coding() {
    let t = TestApp::start(testkit::Engine::Sqlite).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let book = async |codings: &[&str], body: &str| {
        let request = t.request(Method::POST, "/booking/book-spot", Some(&asha));
        let request =
            codings.iter().fold(request, |request, coding| request.header("content-encoding", *coding));
        t.send(request.header("content-type", "application/json").body(body.to_owned())).await
    };
    let body = json!({ "lot_id": lot }).to_string();
    for (codings, named) in [
        (&["gzip"][..], "gzip"),
        (&["br"], "br"),
        (&["X-GZIP"], "X-GZIP"),
        (&["identity, zstd"], "zstd"),
        (&["identity", "deflate"], "deflate"),
    ] {
        let answer = book(codings, &body).await;
        answer.problem(415, "unsupported_content_encoding");
        assert_eq!(answer.headers["accept-encoding"], "identity");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(&format!(" {named};")) && detail.contains("identity"), "{detail}");
    }
    assert_eq!(crate::support::number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 0);
    let bare = t.request(Method::GET, "/parking-lots", None).header("content-encoding", "gzip");
    t.send(bare).await.expect(200);
    book(&["identity", ""], &body).await.expect(201);
    book(&["Identity"], "{\"lot_id\":999}").await.problem(409, "already_parked");
}
