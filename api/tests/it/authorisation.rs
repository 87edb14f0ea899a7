//! Access control: every operation of the OpenAPI document, called by every kind of caller.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use shared::{base::clock::Clock, parking::notifications::Subscription};
use testkit::{Driver, PASSWORD, TestApp};
use uuid::Uuid;

use crate::{
    openapi::{is_for_administrators, is_for_attendants, is_public},
    password_reset::mailed_token,
    payments::unpaid,
    support::{change, many_drivers, noon, seconds, spots},
    verification::welcome_token,
};

/// The callers, in the order of the statuses below. The tokens of the last two were valid until a moment ago.
const CALLERS: [&str; 7] =
    ["anonymous", "the owner", "another driver", "an attendant", "an administrator", "logged out", "deleted"];

type Statuses = [u16; 7];

/// Allowed with and without a token.
const fn public(status: u16) -> Statuses {
    [status; 7]
}

/// Allowed for every logged-in user.
const fn any_user(status: u16) -> Statuses {
    [401, status, status, status, status, 401, 401]
}

/// Allowed for the owner and administrators; other users get `others`.
const fn owner(status: u16, others: u16) -> Statuses {
    [401, status, others, others, status, 401, 401]
}

/// Allowed for the owner, attendants at the lot and administrators.
const fn at_lot(status: u16, others: u16) -> Statuses {
    [401, status, others, status, status, 401, 401]
}

/// Allowed for attendants at the lot and administrators.
const fn staff(status: u16) -> Statuses {
    [401, 403, 403, status, status, 401, 401]
}

/// Allowed for the owner only.
const fn private(status: u16, others: u16) -> Statuses {
    [401, status, others, others, others, 401, 401]
}

const fn admin(status: u16) -> Statuses {
    [401, 403, 403, 403, status, 401, 401]
}

/// An operation, its path, its body, and the expected statuses. What is in braces is created for each caller.
type Row = (&'static str, &'static str, &'static str, Statuses);

const ROWS: &[Row] = &[
    ("POST /admin/cache/clear", "/admin/cache/clear", "", admin(200)),
    ("POST /admin/clear-cache", "/admin/clear-cache", r#"{"scope":["cache"]}"#, admin(200)),
    ("GET /admin/redis-dashboard", "/admin/redis-dashboard", "", admin(200)),
    ("POST /admin/reset-database", "/admin/reset-database", r#"{"confirm":"delete all data"}"#, admin(409)),
    ("GET /admin/integrity", "/admin/integrity", "", admin(200)),
    ("GET /admin/jobs", "/admin/jobs", "", admin(200)),
    ("GET /admin/jobs/{id}", "/admin/jobs/{export}", "", admin(200)),
    ("DELETE /admin/jobs/{id}", "/admin/jobs/{dead}", "", admin(200)),
    ("POST /admin/jobs/{id}/requeue", "/admin/jobs/{dead}/requeue", "", admin(200)),
    ("POST /admin/jobs/{id}/cancel", "/admin/jobs/{export}/cancel", "", admin(200)),
    ("POST /admin/jobs/requeue", "/admin/jobs/requeue", r#"{"kind":"send-receipt"}"#, admin(200)),
    ("POST /admin/jobs/purge", "/admin/jobs/purge", "", admin(200)),
    ("POST /admin/queues/{name}/pause", "/admin/queues/mail/pause", "", admin(200)),
    ("POST /admin/queues/{name}/resume", "/admin/queues/mail/resume", "", admin(200)),
    ("POST /admin/schedules/{name}/pause", "/admin/schedules/file-cleanup/pause", "", admin(200)),
    ("POST /admin/schedules/{name}/resume", "/admin/schedules/file-cleanup/resume", "", admin(200)),
    ("POST /admin/schedules/{name}/run", "/admin/schedules/file-cleanup/run", "", admin(202)),
    (
        "POST /auth/login",
        "/auth/login",
        r#"{"email":"door@example.com","password":"Correct-horse-1"}"#,
        public(200),
    ),
    ("POST /auth/forgot-password", "/auth/forgot-password", r#"{"email":"door@example.com"}"#, public(202)),
    ("GET /auth/reset-password", "/auth/reset-password?token={token}", "", public(200)),
    (
        "POST /auth/reset-password",
        "/auth/reset-password",
        r#"{"token":"{token}","password":"Another-horse-1"}"#,
        public(200),
    ),
    ("GET /auth/verify-email", "/auth/verify-email?token={proof}", "", public(200)),
    ("POST /auth/verify-email", "/auth/verify-email", r#"{"token":"{proof}"}"#, public(200)),
    ("POST /auth/resend-verification", "/auth/resend-verification", "", any_user(409)),
    ("GET /auth/undo-email-change", "/auth/undo-email-change?token=x", "", public(410)),
    ("POST /auth/undo-email-change", "/auth/undo-email-change", r#"{"token":"x"}"#, public(410)),
    ("POST /auth/logout", "/auth/logout", "", any_user(200)),
    ("POST /auth/refresh", "/auth/refresh", "", any_user(200)),
    (
        "POST /auth/register",
        "/auth/register",
        r#"{"username":"r{n}","email":"r{n}@example.com","password":"Correct-horse-1"}"#,
        public(201),
    ),
    ("GET /auth/second-factor", "/auth/second-factor", "", any_user(200)),
    ("POST /auth/second-factor", "/auth/second-factor", "{}", any_user(400)),
    ("DELETE /auth/second-factor", "/auth/second-factor", "", any_user(409)),
    ("POST /auth/second-factor/confirm", "/auth/second-factor/confirm", r#"{"code":"1"}"#, any_user(409)),
    ("POST /auth/second-factor/verify", "/auth/second-factor/verify", r#"{"code":"1"}"#, any_user(409)),
    ("GET /auth/sessions", "/auth/sessions", "", any_user(200)),
    ("DELETE /auth/sessions", "/auth/sessions", "", any_user(200)),
    ("DELETE /auth/sessions/{id}", "/auth/sessions/{session}", "", private(200, 404)),
    ("POST /booking/book-spot", "/booking/book-spot", r#"{"lot_id":{lot}}"#, any_user(201)),
    ("POST /booking/occupy-spot", "/booking/occupy-spot", r#"{"reservation_id":{window}}"#, at_lot(200, 404)),
    (
        "POST /booking/release-spot",
        "/booking/release-spot",
        r#"{"reservation_id":{parked}}"#,
        at_lot(200, 404),
    ),
    ("GET /debug/database-info", "/debug/database-info", "", admin(200)),
    ("POST /export/admin/cleanup", "/export/admin/cleanup", "", admin(202)),
    ("GET /export/admin/jobs", "/export/admin/jobs", "", admin(200)),
    ("GET /admin/deliveries", "/admin/deliveries", "", admin(200)),
    ("GET /admin/audit", "/admin/audit", "", admin(200)),
    ("POST /export/csv/cancel/{id}", "/export/csv/cancel/{export}", "", owner(200, 404)),
    ("GET /export/csv/history", "/export/csv/history", "", any_user(200)),
    ("POST /export/csv/request", "/export/csv/request", "{}", any_user(202)),
    ("GET /export/csv/status/{id}", "/export/csv/status/{export}", "", owner(200, 404)),
    ("GET /export/download/{id}", "/export/download/{file}", "", owner(200, 404)),
    ("GET /export/monthly-report", "/export/monthly-report", "", admin(200)),
    ("GET /export/parking-details", "/export/parking-details", "", admin(200)),
    ("GET /health", "/health", "", public(200)),
    ("GET /health/live", "/health/live", "", public(200)),
    ("GET /health/ready", "/health/ready", "", public(200)),
    ("GET /health/redis", "/health/redis", "", public(200)),
    ("GET /parking-lots", "/parking-lots", "", public(200)),
    (
        "POST /parking-lots",
        "/parking-lots",
        r#"{"location_name":"A","price":1,"address":"B","pincode":"1","number_of_slots":1}"#,
        admin(201),
    ),
    ("GET /parking-lots/{id}", "/parking-lots/{lot}", "", public(200)),
    ("PUT /parking-lots/{id}", "/parking-lots/{lot}", r#"{"price":7}"#, admin(200)),
    ("GET /admin/lots/{id}/tariffs", "/admin/lots/{lot}/tariffs", "", admin(200)),
    (
        "POST /admin/lots/{id}/tariffs",
        "/admin/lots/{lot}/tariffs",
        r#"{"tariff":{"currency":"INR","lines":[{"name":"Day","amount":1,"charge":{"kind":"flat"}}]}}"#,
        admin(201),
    ),
    ("GET /admin/lots/{id}/holidays", "/admin/lots/{lot}/holidays", "", admin(200)),
    ("PUT /admin/lots/{id}/holidays", "/admin/lots/{lot}/holidays", r#"{"holidays":[]}"#, admin(200)),
    ("DELETE /parking-lots/{id}", "/parking-lots/{lot}", "", admin(200)),
    ("GET /parking-lots/{id}/available-spots", "/parking-lots/{lot}/available-spots", "", public(200)),
    (
        "GET /parking-lots/{id}/availability",
        "/parking-lots/{lot}/availability?from=2026-11-21T12:00:00Z&to=2026-11-21T13:00:00Z",
        "",
        public(200),
    ),
    ("GET /parking-spots", "/parking-spots", "", admin(200)),
    ("GET /parking-spots/{id}", "/parking-spots/{spot}", "", admin(200)),
    (
        "PUT /parking-spots/{id}",
        "/parking-spots/{spot}",
        r#"{"status":"occupied","user_id":{owner}}"#,
        admin(200),
    ),
    ("GET /privacy", "/privacy", "", public(200)),
    ("GET /reports", "/reports", "", admin(200)),
    ("GET /reservations", "/reservations", "", admin(200)),
    (
        "POST /reservations",
        "/reservations",
        r#"{"spot_id":{spot},"parking_time":"2026-11-21T12:00:00Z","leaving_time":"2026-11-21T13:00:00Z"}"#,
        any_user(201),
    ),
    ("GET /reservations/{id}", "/reservations/{window}", "", at_lot(200, 404)),
    ("GET /reservations/{id}/bill", "/reservations/{unpaid}/bill", "", at_lot(200, 404)),
    ("PATCH /reservations/{id}", "/reservations/{window}", "{}", owner(200, 404)),
    ("DELETE /reservations/{id}", "/reservations/{window}", "", owner(200, 404)),
    (
        "POST /reservations/{id}/payment",
        "/reservations/{unpaid}/payment",
        r#"{"transaction_id":"T{n}"}"#,
        at_lot(200, 404),
    ),
    ("POST /reservations/{id}/payment/verify", "/reservations/{paid}/payment/verify", "", staff(200)),
    ("POST /reservations/{id}/waive", "/reservations/{unpaid}/waive", r#"{"reason":"broken"}"#, admin(200)),
    ("POST /reservations/{id}/refund", "/reservations/{paid}/refund", r#"{"reason":"flooded"}"#, admin(200)),
    ("GET /attendant/lots", "/attendant/lots", "", staff(200)),
    ("GET /attendant/lots/{id}/spots", "/attendant/lots/{lot}/spots", "", staff(200)),
    ("GET /attendant/lots/{id}/unpaid", "/attendant/lots/{lot}/unpaid", "", staff(200)),
    ("POST /attendant/arrivals", "/attendant/arrivals", r#"{"lot_id":{lot},"plate":"AR {n}"}"#, staff(201)),
    (
        "POST /attendant/departures",
        "/attendant/departures",
        r#"{"lot_id":{lot_of_car},"plate":"CAR {n}"}"#,
        staff(200),
    ),
    ("GET /tasks/{task}", "/tasks/{export}", "", owner(200, 404)),
    ("POST /tasks/{task}", "/tasks/export-csv", "{}", any_user(202)),
    ("GET /unsubscribe", "/unsubscribe?{link}", "", public(200)),
    ("POST /unsubscribe", "/unsubscribe?{link}", "", public(200)),
    ("GET /tasks/{task_id}/events", "/tasks/{file}/events", "", owner(200, 404)),
    ("GET /user-booking-history", "/user-booking-history", "", any_user(200)),
    ("GET /user-reports", "/user-reports", "", any_user(200)),
    ("GET /user/activity", "/user/activity", "", any_user(200)),
    ("GET /users", "/users", "", admin(200)),
    (
        "POST /users",
        "/users",
        r#"{"username":"c{n}","email":"c{n}@example.com","password":"Correct-horse-1"}"#,
        admin(201),
    ),
    ("GET /users/{id}", "/users/{owner}", "", owner(200, 403)),
    ("PUT /users/{id}", "/users/{owner}", r#"{"vehicle_number":"{n}"}"#, owner(200, 403)),
    ("GET /users/{id}/vehicles", "/users/{owner}/vehicles", "", owner(200, 403)),
    ("POST /users/{id}/vehicles", "/users/{owner}/vehicles", r#"{"plate":"V {n}"}"#, owner(201, 403)),
    ("DELETE /users/{id}/vehicles/{vehicle_id}", "/users/{owner}/vehicles/{vehicle}", "", owner(200, 403)),
    ("GET /users/{id}/lots", "/users/{owner}/lots", "", admin(200)),
    ("PUT /users/{id}/lots", "/users/{attendant}/lots", r#"{"lot_ids":[{lot}]}"#, admin(200)),
    ("POST /users/me/phone/verification", "/users/me/phone/verification", "", any_user(409)),
    (
        "POST /users/me/phone/verification/confirm",
        "/users/me/phone/verification/confirm",
        r#"{"code":"123456"}"#,
        any_user(409),
    ),
    ("DELETE /users/{id}", "/users/{owner}", r#"{"current_password":"{password}"}"#, owner(200, 403)),
    ("POST /users/me/export", "/users/me/export", "", any_user(202)),
    ("DELETE /users/{id}/second-factor", "/users/{owner}/second-factor", "", admin(404)),
    ("DELETE /users/{id}/sessions", "/users/{owner}/sessions", "", admin(200)),
    ("GET /users/{id}/reservations", "/users/{owner}/reservations", "", owner(200, 403)),
];

/// The same operations where the resource is named in another way.
const VARIANTS: &[Row] = &[
    ("GET /user/activity", "/user/activity?user_id={owner}", "", owner(200, 403)),
    ("GET /tasks/{task}", "/tasks/export-csv?task_id={export}", "", owner(200, 404)),
    (
        "POST /reservations",
        "/reservations",
        r#"{"user_id":{owner},"spot_id":{spot},"parking_time":"2026-11-21T12:00:00Z","leaving_time":"2026-11-21T13:00:00Z"}"#,
        owner(201, 403),
    ),
    ("POST /export/csv/request", "/export/csv/request", r#"{"scope":"all"}"#, admin(202)),
    ("POST /tasks/{task}", "/tasks/export-csv", r#"{"scope":"all"}"#, admin(202)),
    ("POST /tasks/{task}", "/tasks/test-daily-reminder", "", admin(202)),
    ("GET /users/{id}/reservations", "/users/{owner}/reservations?limit=1", "", owner(200, 403)),
];

#[test]
fn every_operation_has_an_authorization_row() {
    let document = serde_json::to_value(api::routes::document()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{} {}", method.to_uppercase(), path.strip_prefix("/api").unwrap());
            let row = ROWS.iter().find(|row| row.0 == name);
            let (.., statuses) = row.unwrap_or_else(|| panic!("{name} has no row"));
            let secured = !is_public(operation);
            assert_eq!([statuses[0] == 401, statuses[5] == 401, statuses[6] == 401], [secured; 3], "{name}");
            let (for_admins, for_staff) = (is_for_administrators(operation), is_for_attendants(operation));
            assert_eq!(statuses[1] == 403 && statuses[2] == 403, for_admins || for_staff, "{name}");
            assert_eq!(statuses[1] == 403 && statuses[3] == 403, for_admins, "{name}");
            for status in statuses {
                assert!(
                    operation["responses"].get(status.to_string()).is_some(),
                    "{name} does not document {status}"
                );
            }
            documented.insert(name);
        }
    }
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!((rows.len(), &rows), (ROWS.len(), &documented));
}

/// A caller of an operation, with the users and resources created for the call.
struct Scene<'a> {
    t: &'a TestApp,
    admin: &'a Driver,
    owner: Driver,
    number: usize,
}

impl Scene<'_> {
    /// Replaces the placeholders in `text`, creating what they name.
    async fn fill(&self, text: &str) -> String {
        let mut text =
            text.replace("{n}", &self.number.to_string()).replace("{owner}", &self.owner.id.to_string());
        for thing in [
            "{lot}",
            "{spot}",
            "{window}",
            "{parked}",
            "{unpaid}",
            "{paid}",
            "{session}",
            "{export}",
            "{file}",
            "{link}",
            "{token}",
            "{proof}",
            "{dead}",
            "{vehicle}",
            "{attendant}",
            "{lot_of_car}",
            "{password}",
        ] {
            if text.contains(thing) {
                text = text.replace(thing, &self.make(thing).await);
            }
        }
        text
    }

    async fn make(&self, thing: &str) -> String {
        let (t, owner) = (self.t, Some(&self.owner));
        match thing {
            "{lot}" => t.lot(1).await.to_string(),
            "{spot}" => spots(t, t.lot(1).await).await[0].to_string(),
            "{attendant}" => attendant(t, &format!("guard{}x", self.number)).await.id.to_string(),
            "{lot_of_car}" => {
                let lot = t.lot(1).await;
                let car = json!({ "lot_id": lot, "plate": format!("CAR {}", self.number) });
                t.post("/attendant/arrivals", Some(self.admin), car).await.expect(201);
                lot.to_string()
            }
            "{link}" => {
                let link = Subscription::Reminders.link(&t.app.config, &t.app.keys, self.owner.id).unwrap();
                link.split_once('?').unwrap().1.to_owned()
            }
            "{token}" => {
                let user = many_drivers(t, &format!("forgetful{}x", self.number), 1).await.pop().unwrap();
                mailed_token(t, user.id).await
            }
            "{proof}" => {
                let user = many_drivers(t, &format!("new{}x", self.number), 1).await.pop().unwrap();
                let text = "UPDATE users SET email_verified = FALSE WHERE id = $1";
                change(t, text, [user.id.into()]).await.unwrap();
                welcome_token(t, user.id).await.unwrap()
            }
            "{password}" => {
                let text = "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE id = $2) WHERE id = $1";
                change(t, text, [self.owner.id.into(), self.admin.id.into()]).await.unwrap();
                PASSWORD.to_owned()
            }
            "{parked}" => t.book(&self.owner, t.lot(1).await).await.to_string(),
            "{unpaid}" => unpaid(t, &self.owner, t.lot(1).await).await.to_string(),
            "{paid}" => {
                let id = unpaid(t, &self.owner, t.lot(1).await).await;
                let cash = json!({ "payment_method": "cash" });
                t.post(&format!("/reservations/{id}/payment"), owner, cash).await.expect(200);
                id.to_string()
            }
            "{window}" => {
                let spot = spots(t, t.lot(1).await).await[0];
                let window = json!({ "spot_id": spot, "parking_time": noon(), "leaving_time": noon() + seconds(3600) });
                t.post("/reservations", owner, window).await.expect(201).body["reservation"]["id"].to_string()
            }
            "{vehicle}" => {
                let (path, plate) =
                    (format!("/users/{}/vehicles", self.owner.id), format!("V {}", self.number));
                let added = t.post(&path, owner, json!({ "plate": plate })).await.expect(201);
                added.body["vehicle"]["id"].to_string()
            }
            "{session}" => text(&t.get("/auth/sessions", owner).await.expect(200).body["sessions"][0]["id"]),
            _ => {
                let id =
                    text(&t.post("/export/csv/request", owner, json!({})).await.expect(202).body["task_id"]);
                if thing == "{dead}" {
                    let text = "UPDATE jobs SET state = 'failed', finished_at = created_at WHERE id = $1";
                    change(t, text, [id.parse::<Uuid>().unwrap().into()]).await.unwrap();
                }
                if thing == "{file}" {
                    let _worker = t.work();
                    t.eventually("the file exists", async || {
                        t.get(&format!("/export/download/{id}"), owner).await.status == 200
                    })
                    .await;
                }
                id
            }
        }
    }

    /// The user whose token is sent.
    async fn caller(&self, who: &str) -> Option<Driver> {
        let (t, owner) = (self.t, self.owner.clone());
        match who {
            "anonymous" => return None,
            "another driver" => return many_drivers(t, &format!("other{}x", self.number), 1).await.pop(),
            "an attendant" => return Some(attendant(t, &format!("attendant{}x", self.number)).await),
            "an administrator" => {
                let admin = many_drivers(t, &format!("admin{}x", self.number), 1).await.pop().unwrap();
                let text = "UPDATE users SET role = 'admin' WHERE id = $1";
                change(t, text, [admin.id.into()]).await.unwrap();
                return Some(admin);
            }
            _ => {}
        }
        // Caches the session.
        t.get("/auth/sessions", Some(&owner)).await.expect(200);
        if who == "logged out" {
            t.post("/auth/logout", Some(&owner), json!({})).await.expect(200);
        }
        if who == "deleted" {
            t.delete(&format!("/users/{}", owner.id), Some(self.admin)).await.expect(200);
        }
        Some(owner)
    }
}

/// Works at all lots that there are.
async fn attendant(t: &TestApp, name: &str) -> Driver {
    let attendant = many_drivers(t, name, 1).await.pop().unwrap();
    change(t, "UPDATE users SET is_attendant = TRUE WHERE id = $1", [attendant.id.into()]).await.unwrap();
    let text = "INSERT INTO attendant_lots (user_id, lot_id, assigned_at)
        SELECT $1, id, created_at FROM lots WHERE archived_at IS NULL";
    change(t, text, [attendant.id.into()]).await.unwrap();
    attendant
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

async fn try_all_callers(t: &TestApp, rows: &[Row]) {
    let admin = t.admin().await;
    let door = json!({ "username": "Door", "email": "door@example.com", "password": PASSWORD });
    t.post("/auth/register", None, door).await.expect(201);
    let mut wrong = Vec::new();
    for (row, (operation, path, body, expected)) in rows.iter().enumerate() {
        for (caller, who) in CALLERS.into_iter().enumerate() {
            let number = 10 * row + caller;
            let owner = many_drivers(t, &format!("owner{number}x"), 1).await.pop().unwrap();
            let scene = Scene { t, admin: &admin, owner, number };
            let filled = scene.fill(&format!("{path} {body}")).await;
            let (path, body) = filled.split_once(' ').unwrap();
            let holder = scene.caller(who).await;
            // Half of the calls use the alias without `/api`.
            let place = if (row + caller) % 2 == 0 { "" } else { "/" };
            let method: Method = operation.split(' ').next().unwrap().parse().unwrap();
            let mut request = t.request(method, &format!("{place}{path}"), holder.as_ref());
            if !body.is_empty() {
                request = request.header("content-type", "application/json").body(body.to_owned());
            }
            let answer = t.send(request).await;
            if answer.status.as_u16() != expected[caller] {
                wrong.push(format!(
                    "{operation} by {who} ({place}{path} {body}), not {}: {}",
                    expected[caller], answer.text
                ));
            }
            if operation.starts_with("GET ") {
                let head = t.send(t.request(Method::HEAD, path, holder.as_ref())).await;
                assert_eq!((head.status, head.text.as_str()), (answer.status, ""), "HEAD {path} by {who}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[testkit::both_databases]
async fn each_role_may_do_exactly_its_operations(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    try_all_callers(&t, ROWS).await;
}

#[testkit::both_databases]
async fn ownership_is_checked_where_the_path_hides_it(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    try_all_callers(&t, VARIANTS).await;
}

#[testkit::both_databases]
async fn undocumented_paths_need_the_same_rights(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    for place in ["", "/"] {
        let (export, action) = (format!("{place}/export/nothing"), format!("{place}/booking/nothing"));
        t.get(&export, None).await.problem(401, "unauthenticated");
        t.get(&export, Some(&asha)).await.problem(403, "forbidden");
        t.get(&export, Some(&admin)).await.problem(400, "unknown_export");
        t.post(&action, None, json!({})).await.problem(401, "unauthenticated");
        t.post(&action, Some(&asha), json!({})).await.problem(400, "unknown_action");
    }
}

#[testkit::both_databases]
async fn path_spellings_and_headers_bypass_nothing(t: TestApp) {
    let asha = t.driver("Asha").await;
    for path in [
        "//users/",
        "//Users",
        "//USERS",
        "//users%2F",
        "//%75sers",
        "//users%00",
        "//users%20",
        "//users;a=b",
        "//users.json",
        "///users",
        "//api//users",
        "//api/users/",
        "//API/users",
        "//api/api/users",
        "//health/%2e%2e/users",
        "//health/..%2Fusers",
        "//health\\..\\users",
        "//parking-lots/..%2freservations",
        "//users/1/",
        "//users/1%2Freservations",
    ] {
        for who in [None, Some(&asha)] {
            let status = t.get(path, who).await.status.as_u16();
            assert!([401, 403, 404].contains(&status), "{path}: {status}");
        }
    }
    let lots = t.get("/parking-lots", None).await.expect(200).text;
    for (name, value) in [
        ("x-original-url", "/users"),
        ("x-rewrite-url", "/users"),
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "POST"),
        ("x-forwarded-prefix", "/users"),
        ("x-forwarded-user", "admin"),
        ("x-user-id", "1"),
        ("x-role", "admin"),
        ("cookie", "access_token=x; role=admin"),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
    ] {
        let with = |path: &str, who: Option<&Driver>| t.request(Method::GET, path, who).header(name, value);
        assert_eq!(t.send(with("/parking-lots", None)).await.expect(200).text, lots, "{name}");
        t.send(with("/users", None)).await.problem(401, "unauthenticated");
        t.send(with("/users", Some(&asha))).await.problem(403, "forbidden");
    }
}

#[testkit::both_databases]
async fn idempotency_keys_do_not_leak_answers(t: TestApp) {
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(3).await;
    let book = async |who: Option<&Driver>| {
        let request = t.request(Method::POST, "/booking/book-spot", who).header("idempotency-key", "k");
        t.send(request.json(&json!({ "lot_id": lot }))).await
    };
    let ids = [book(Some(&asha)).await, book(Some(&ravi)).await, book(Some(&admin)).await]
        .map(|answer| answer.expect(201).body["reservation"]["id"].to_string());
    assert_eq!(BTreeSet::from(ids).len(), 3, "each driver gets a separate booking");
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    t.delete(&format!("/users/{}", ravi.id), Some(&admin)).await.expect(200);
    for who in [None, Some(&asha), Some(&ravi)] {
        book(who).await.problem(401, "unauthenticated");
    }
}
