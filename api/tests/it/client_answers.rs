//! What makes answers easy to work with: every fault named, codes that differ, places of new resources, numbers for people.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Driver, Engine, TestApp};

use crate::support::pointers;

#[testkit::both_databases]
async fn every_missing_or_mistyped_field_is_named(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let register = async |body: Value| t.post("/auth/register", None, body).await;
    assert_eq!(pointers(&register(json!({})).await), ["/username", "/email", "/password"]);
    let mixed = register(json!({ "username": 7, "phone_number": true, "password": null })).await;
    let mut all = pointers(&mixed);
    all.sort_unstable();
    assert_eq!(all, ["/email", "/password", "/phone_number", "/username"]);
    for detail in
        ["username must be text, not a number", "password must be text, not null", "email is missing"]
    {
        assert!(mixed.body["detail"].as_str().unwrap().contains(detail), "{}", mixed.text);
    }
    let lot = t.post("/parking-lots", Some(&admin), json!({ "price": [], "number_of_slots": 1.5 })).await;
    let mut all = pointers(&lot);
    all.sort_unstable();
    assert_eq!(all, ["/address", "/location_name", "/number_of_slots", "/pincode", "/price"]);
    let booking = t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": "1" })).await;
    assert_eq!(booking.body["detail"], "lot_id must be a whole number, not text");
}

#[testkit::both_databases]
async fn wrong_password_and_expired_token_have_different_codes(t: TestApp) {
    let asha = t.driver("Asha").await;
    let login = json!({ "email": asha.email, "password": "wrong" });
    t.post("/auth/login", None, login).await.problem(401, "invalid_credentials");
    let nobody = Driver { token: "expired".into(), ..asha };
    t.get("/auth/sessions", Some(&nobody)).await.problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_registrations_do_not_use_up_the_limit() {
    let limits = [("RATE_LIMIT_REGISTER", "2/60"), ("RATE_LIMIT_DEFAULT", "6/60")];
    let (with_redis, redis) = TestApp::start_with_redis(Engine::Sqlite).await;
    drop(redis);
    for t in [TestApp::start_with(Engine::Sqlite, &limits).await, with_redis.second_process(&limits).await] {
        let register = async |name: &str| {
            let email = if name.is_empty() { String::new() } else { format!("{name}@example.com") };
            let body = json!({ "username": name, "email": email, "password": testkit::PASSWORD });
            t.post("/auth/register", None, body).await
        };
        for _ in 0..4 {
            register("").await.problem(400, "invalid");
        }
        register("asha").await.expect(201);
        // Without Redis there is half the budget.
        let second = register("ravi").await.status.as_u16();
        if second != 429 {
            register("mira").await.problem(429, "rate_limited");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_registrations_count_among_all_calls() {
    let limits = [("RATE_LIMIT_REGISTER", "2/60"), ("RATE_LIMIT_DEFAULT", "3/60")];
    let t = TestApp::start_with(Engine::Sqlite, &limits).await;
    for _ in 0..3 {
        t.post("/auth/register", None, json!({})).await.problem(400, "invalid");
    }
    t.post("/auth/register", None, json!({})).await.problem(429, "rate_limited");
}

#[testkit::both_databases]
async fn shrinking_a_lot_says_how_many_spots_retire_later(t: TestApp) {
    let (admin, lot) = (t.admin().await, t.lot(4).await);
    for name in ["Asha", "Ravi", "Mira"] {
        t.book(&t.driver(name).await, lot).await;
    }
    let path = format!("/parking-lots/{lot}");
    let resize = async |slots: i64| {
        let answer = t.put(&path, Some(&admin), json!({ "number_of_slots": slots })).await.expect(200);
        answer.body["retiring_slots"].clone()
    };
    assert_eq!([resize(3).await, resize(1).await, resize(2).await, resize(9).await], [0, 2, 1, 0]);
}

#[testkit::both_databases]
async fn me_is_the_caller(t: TestApp) {
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    for who in [&asha, &admin] {
        let me = t.get("/users/me", Some(who)).await.expect(200);
        assert_eq!(me.body["user"]["id"], who.id);
        t.get("/users/me/reservations", Some(who)).await.expect(200);
    }
    let changed = t.put("/users/me", Some(&asha), json!({ "username": "Asha Rao" })).await.expect(200);
    assert_eq!(changed.body["user"]["username"], "Asha Rao");
    assert_eq!(
        t.get("/users/me", Some(&asha)).await.body,
        t.get(&format!("/users/{}", asha.id), Some(&asha)).await.body
    );
    t.get("/users/me", None).await.problem(401, "unauthenticated");
    t.get("/users/you", Some(&asha)).await.problem(404, "not_found");
    t.put("/users/you", Some(&asha), json!({})).await.problem(400, "invalid");
}

#[testkit::both_databases]
async fn created_resources_say_where_they_are(t: TestApp) {
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let lot = t.lot(2).await;
    let form = |name: &str| json!({ "username": name, "email": format!("{name}@example.com"), "password": testkit::PASSWORD });
    let begin = t.app.clock.now() + chrono::TimeDelta::hours(3);
    let spot = crate::support::spots(&t, lot).await[1];
    let window = crate::reservations::window(spot, begin, begin + chrono::TimeDelta::hours(1));
    let new_lot =
        json!({ "location_name": "A", "price": 1, "address": "B", "pincode": 1, "number_of_slots": 1 });
    for (path, who, body) in [
        ("/auth/register", None, form("ravi")),
        ("/users", Some(&admin), form("mira")),
        ("/parking-lots", Some(&admin), new_lot),
        ("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })),
        ("/reservations", Some(&admin), window),
    ] {
        let made = t.post(path, who, body).await.expect(201);
        let location = made.headers["location"].to_str().unwrap().strip_prefix("/api").unwrap();
        t.get(location, Some(&admin)).await.expect(200);
        let id = location.rsplit('/').next().unwrap();
        let members = ["user", "lot", "reservation"].map(|name| made.body[name]["id"].to_string());
        assert!(members.iter().any(|member| member == id), "{location} is not in {}", made.text);
    }
    let export = t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202);
    t.get(export.headers["location"].to_str().unwrap().strip_prefix("/api").unwrap(), Some(&asha))
        .await
        .expect(200);
}

#[testkit::both_databases]
async fn spots_are_numbered_within_their_lot(t: TestApp) {
    let admin = t.admin().await;
    t.lot(3).await;
    let second = t.lot(2).await;
    let spots = t.get("/parking-spots", Some(&admin)).await.expect(200).body["spots"].clone();
    let numbers: Vec<_> = spots.as_array().unwrap().iter().map(|spot| spot["spot_number"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3, 1, 2]);
    let one = t.get(&format!("/parking-spots/{}", spots[4]["id"]), Some(&admin)).await.expect(200);
    assert_eq!(one.body["spot"]["spot_number"], 2);
    let free = t.get(&format!("/parking-lots/{second}/available-spots"), None).await.expect(200);
    let free = free.body["available_spots"].as_array().unwrap().clone();
    assert_eq!(free.iter().map(|spot| &spot["spot_number"]).collect::<Vec<_>>(), [1, 2]);
}

#[testkit::both_databases]
async fn links_in_mails_lead_to_pages(t: TestApp) {
    for path in ["//", "/privacy"] {
        let browser = t.request(Method::GET, path, None).header("accept", "text/html,*/*;q=0.8");
        let page = t.send(browser).await.expect(200);
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
        let program = t.get(path, None).await.expect(200);
        assert!(program.body["msg"].is_string(), "{}", program.text);
    }
}
