//! Members that a client may not set are added to every body: they have no effect.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, PASSWORD, TestApp};
use uuid::Uuid;

use crate::support::{content, noon, spots};

/// Members that clients would like to set.
fn forbidden_members() -> Map<String, Value> {
    let mut members = json!({
        "role": "admin", "is_admin": true, "id": 1, "user_id": 1, "owner_id": 1, "lot": { "available_slots": 9_999 },
        "parking_cost": 0, "cost_minor": 0, "hourly_rate": 0, "hourly_rate_minor": 0, "price_minor": 0,
        "available_slots": 9_999, "status": "completed", "state": "completed", "version": 99, "retiring": true,
        "deleted_at": "2020-01-01T00:00:00Z", "archived_at": "2020-01-01T00:00:00Z", "created_at": "2020-01-01T00:00:00Z",
        "email_key": "x", "username_key": "x", "mail_key": "x", "plate_key": "x", "position": -1, "password_hash": "x", "reminders_off": true, "sid": "x", "everyone": true,
        "starts_at": "2020-01-01T00:00:00Z", "started_at": "2020-01-01T00:00:00Z", "ended_at": "2020-01-01T00:00:00Z",
        "expires_at": "2099-01-01T00:00:00Z", "bytes": 1, "path": "/etc/passwd", "file_name": "../x", "user": { "role": "admin" },
        "__proto__": { "role": "admin" }, "constructor": { "prototype": { "is_admin": true } },
    });
    members["email_verified"] = json!(true);
    members.as_object().unwrap().clone()
}

/// The operations with a body, with the documented members.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let document = serde_json::to_value(api::routes::document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(schema) = schema.as_str() else { continue };
            let schema = &document["components"]["schemas"][schema.rsplit('/').next().unwrap()];
            let members = schema["properties"].as_object().unwrap().keys().cloned().collect();
            found
                .push((format!("{} {}", method.to_uppercase(), path.strip_prefix("/api").unwrap()), members));
        }
    }
    found
}

/// A sequence of requests, with or without the forbidden members.
struct Story {
    t: TestApp,
    clock: Clock,
    add_forbidden: bool,
    documented: Vec<(String, BTreeSet<String>)>,
    called: BTreeSet<String>,
    answers: Vec<(String, u16, String)>,
}

impl Story {
    /// Calls the operation and returns the body of the answer.
    async fn step(&mut self, operation: &str, id: i64, who: Option<(&Driver, bool)>, body: Value) -> Value {
        let (_, members) =
            self.documented.iter().find(|(name, _)| name == operation).expect("a documented operation");
        let is_admin = who.is_some_and(|(_, is_admin)| is_admin);
        let mut sent = body.clone();
        if self.add_forbidden {
            for (name, value) in forbidden_members() {
                // Documented members are left alone, except for the role, which only administrators may set.
                let meant = members.contains(&name) && (name != "role" || is_admin);
                if !meant {
                    sent[name] = value;
                }
            }
        }
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{id}", &id.to_string()).replace("{task}", "export-csv");
        let request =
            self.t.request(method.parse::<Method>().unwrap(), &path, who.map(|(who, _)| who)).json(&sent);
        let mut answer = self.t.send(request).await;
        if let Some(answer) = answer.body.as_object_mut() {
            answer.remove("token");
        }
        let text = scrubbed(&answer.body.to_string());
        self.answers.push((format!("{operation} {body}"), answer.status.as_u16(), text));
        self.called.insert(operation.to_owned());
        answer.body
    }
}

/// Removes random parts: UUIDs and password hashes.
fn scrubbed(text: &str) -> String {
    let (mut scrubbed, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let is_id = |length: &usize| rest.get(..*length).is_some_and(|id| Uuid::parse_str(id).is_ok());
        if let Some(length) = [36, 32].into_iter().find(is_id) {
            scrubbed.push_str("(id)");
            rest = &rest[length..];
        } else if rest.starts_with("$argon2") {
            scrubbed.push_str("(hash)");
            rest = &rest[rest.find('"').unwrap_or(rest.len())..];
        } else {
            scrubbed.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    scrubbed
}

async fn run_story(t: TestApp, add_forbidden: bool) -> (Story, Vec<String>) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let admin = t.admin().await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(3).await;
    let spot = spots(&t, lot).await[2];
    let mut story = Story {
        t,
        clock,
        add_forbidden,
        documented: documented(),
        called: BTreeSet::new(),
        answers: Vec::new(),
    };
    let s = &mut story;
    let (asha, boss) = (Some((&asha, false)), Some((&admin, true)));
    let me = asha.unwrap().0.id;

    let form = |name: &str| json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD });
    s.step("POST /auth/register", 0, None, form("Meera")).await;
    s.step("POST /auth/login", 0, None, json!({ "email": "meera@example.com", "password": PASSWORD })).await;
    s.step("POST /auth/forgot-password", 0, None, json!({ "email": "meera@example.com" })).await;
    s.step("POST /auth/reset-password", 0, None, json!({ "token": "x", "password": PASSWORD })).await;
    s.step("POST /auth/verify-email", 0, None, json!({ "token": "x" })).await;
    s.step("POST /auth/undo-email-change", 0, None, json!({ "token": "x" })).await;
    s.step("POST /auth/second-factor", 0, asha, json!({ "current_password": "wrong" })).await;
    s.step("POST /auth/second-factor/confirm", 0, asha, json!({ "code": "1" })).await;
    s.step("POST /auth/second-factor/verify", 0, asha, json!({ "code": "1" })).await;
    let confirmed = json!({ "phone_number": "9876500001", "current_password": PASSWORD });
    s.step("PUT /users/{id}", me, asha, confirmed).await;
    s.step("POST /users/me/phone/verification/confirm", 0, asha, json!({ "code": "123456" })).await;
    s.step("PUT /users/{id}", me, asha, json!({})).await;
    s.step("PUT /users/{id}", ravi.id, asha, json!({ "phone_number": "9876500002" })).await;

    let booked = s.step("POST /booking/book-spot", 0, asha, json!({ "lot_id": lot })).await;
    s.clock.advance(TimeDelta::minutes(61));
    let release = json!({ "reservation_id": booked["reservation"]["id"], "transaction_id": "T", "payment_method": "card" });
    let released = s.step("POST /booking/release-spot", 0, asha, release.clone()).await;
    assert_eq!(released["reservation"]["parking_cost"], 51.0, "the server computes the bill");
    s.step("POST /booking/release-spot", 0, asha, release).await;
    let paid = booked["reservation"]["id"].as_i64().unwrap();
    s.step("POST /reservations/{id}/payment", paid, asha, json!({ "transaction_id": "T" })).await;
    let window = |from: i64, to: i64| json!({ "spot_id": spot, "parking_time": noon() + TimeDelta::hours(from), "leaving_time": noon() + TimeDelta::hours(to) });
    s.step("POST /reservations", 0, asha, window(30, 31)).await;
    let reserved = s.step("POST /reservations", 0, asha, window(2, 4)).await;
    let id = reserved["reservation"]["id"].as_i64().unwrap();
    s.step("PATCH /reservations/{id}", id, asha, json!({ "leaving_time": noon() + TimeDelta::hours(5) }))
        .await;
    s.clock.advance(TimeDelta::minutes(60));
    s.step("POST /booking/occupy-spot", 0, asha, json!({ "reservation_id": reserved["reservation"]["id"] }))
        .await;
    s.step("POST /export/csv/request", 0, asha, json!({ "lot_id": lot })).await;
    s.step("POST /tasks/{task}", 0, asha, json!({})).await;
    s.step("DELETE /users/{id}", ravi.id, asha, json!({ "current_password": "wrong" })).await;

    for clear in ["POST /admin/clear-cache", "POST /admin/cache/clear"] {
        s.step(clear, 0, asha, json!({})).await;
    }
    s.step("POST /admin/reset-database", 0, boss, json!({ "confirm": "delete all data" })).await;

    // Operations for administrators, first as a driver, then as an administrator. Neither may set counters or ids.
    for who in [asha, boss] {
        s.step("POST /users", 0, who, form("Nila")).await;
        let lot_form =
            json!({ "location_name": "B", "price": 5, "address": "B", "pincode": "1", "number_of_slots": 2 });
        s.step("POST /parking-lots", 0, who, lot_form).await;
        s.step("PUT /parking-lots/{id}", lot, who, json!({ "price": 30, "number_of_slots": 5 })).await;
        s.step("PUT /parking-lots/{id}", lot, who, json!({})).await;
        let tariff = json!({ "currency": "INR", "lines": [
            { "name": "Day", "amount": 100, "charge": { "kind": "flat" } }] });
        s.step("POST /admin/lots/{id}/tariffs", lot, who, json!({ "tariff": tariff })).await;
        s.step("PUT /admin/lots/{id}/holidays", lot, who, json!({ "holidays": ["2026-12-25"] })).await;
        s.step("PUT /parking-spots/{id}", spot, who, json!({ "status": "available" })).await;
        let left = reserved["reservation"]["id"].as_i64().unwrap();
        s.step("POST /reservations/{id}/waive", left, who, json!({ "reason": "broken barrier" })).await;
        s.step("PUT /users/{id}", ravi.id, who, json!({ "vehicle_number": "MH 1" })).await;
        s.step("POST /users/{id}/vehicles", ravi.id, who, json!({ "plate": "MH 2" })).await;
        s.step("POST /admin/jobs/requeue", 0, who, json!({ "kind": "send-receipt" })).await;
        s.step("POST /admin/jobs/purge", 0, who, json!({})).await;
        let guest = json!({ "lot_id": lot, "plate": "GUEST 1" });
        s.step("POST /attendant/arrivals", 0, who, guest.clone()).await;
        s.step("POST /attendant/departures", 0, who, guest).await;
        s.step("POST /reservations/{id}/refund", paid, who, json!({ "reason": "flooded" })).await;
        s.step("PUT /users/{id}/lots", ravi.id, who, json!({ "lot_ids": [lot] })).await;
    }
    let mut rows: Vec<_> = content(&story.t).await.iter().map(|row| scrubbed(row)).collect();
    rows.sort_unstable();
    (story, rows)
}

/// Defects 4 and 29.
#[testkit::both_databases]
async fn unexpected_fields_change_nothing(t: TestApp) {
    let other = TestApp::start(t.engine).await;
    let (base, rows) = run_story(t, false).await;
    let (extended, extended_rows) = run_story(other, true).await;
    for (base, extended) in base.answers.iter().zip(&extended.answers) {
        assert_eq!(base, extended);
    }
    assert_eq!(base.answers.len(), extended.answers.len());
    assert!(base.answers.iter().filter(|(_, status, _)| *status < 300).count() >= 16, "{:#?}", base.answers);
    let differing: Vec<_> =
        rows.iter().zip(&extended_rows).filter(|(base, extended)| base != extended).collect();
    assert!(rows.len() == extended_rows.len() && differing.is_empty(), "{differing:#?}");
    let documented: BTreeSet<_> = base.documented.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(base.called, documented, "every operation with a body is called");
}
