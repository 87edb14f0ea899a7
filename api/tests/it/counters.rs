//! Counters: what is counted, under which name, and for how long.

use std::time::Duration;

use redis::Cmd;
use serde_json::json;
use shared::base::clock::Clock;
use testkit::{PASSWORD, TestApp};

use crate::{
    race::two_processes,
    support::{ENGINES, at_once, noon, spots},
};

/// Redis is given half a second for a command, which may be too short on a busy machine; then it is asked again.
async fn counts<const N: usize>(t: &TestApp, names: [&str; N]) -> [i64; N] {
    let mut counts = t.app.counters.read(&names).await;
    for _ in 0..20 {
        if counts.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        counts = t.app.counters.read(&names).await;
    }
    counts.unwrap().try_into().unwrap()
}

async fn active_users(t: &TestApp) -> i64 {
    t.app.counters.read_with_active_users(&["total_logins"]).await.unwrap().1
}

#[testkit::both_databases]
async fn events_are_counted_in_total_and_by_local_day(t: TestApp) {
    // 20:00 UTC is the next day in Asia/Kolkata.
    let t = t.at(Clock::fixed("2026-11-20T20:00:00Z".parse().unwrap())).await;
    let asha = t.driver("Asha").await;
    t.log_in(&asha.email).await;
    let lot = t.lot(2).await;
    t.book(&asha, lot).await;
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    let names = ["total_registrations", "total_logins", "total_logouts", "total_reservations"];
    assert_eq!(counts(&t, names).await, [1, 1, 1, 1]);
    let days = [
        "daily_registrations:2026-11-21",
        "daily_logins:2026-11-21",
        "daily_reservations:2026-11-21",
        "daily_logins:2026-11-20",
    ];
    assert_eq!(counts(&t, days).await, [1, 1, 1, 0]);
    // Defect 34: daily counters expire.
    let ttl = Cmd::ttl(t.app.redis.keys().counter("daily_logins:2026-11-21"));
    let ttl: i64 = t.app.redis.query(async |mut redis| ttl.query_async(&mut redis).await).await.unwrap();
    assert!((39 * 86_400..=40 * 86_400).contains(&ttl), "{ttl}");
}

#[testkit::both_databases]
async fn only_successful_events_are_counted(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let user = json!({ "username": "Ravi", "email": "ravi@example.com", "password": PASSWORD });
    let ravi = t.post("/users", Some(&admin), user.clone()).await.expect(201).body["user"]["id"].clone();
    t.post("/users", Some(&admin), user).await.expect(409);
    t.delete(&format!("/users/{ravi}"), Some(&admin)).await.expect(200);
    t.delete(&format!("/users/{ravi}"), Some(&admin)).await.expect(404);
    let lot =
        json!({ "location_name": "A", "price": 1, "address": "A", "pincode": "1", "number_of_slots": 1 });
    let lot =
        t.post("/parking-lots", Some(&admin), lot).await.expect(201).body["lot"]["id"].as_i64().unwrap();
    t.post("/parking-lots", Some(&admin), json!({})).await.expect(400);
    let window = json!({ "spot_id": spots(&t, lot).await[0], "parking_time": "2026-11-20T13:00:00Z", "leaving_time": "2026-11-20T14:00:00Z" });
    let reserved = t.post("/reservations", Some(&asha), window.clone()).await.expect(201).body["reservation"]
        ["id"]
        .clone();
    t.post("/reservations", Some(&asha), window).await.expect(409);
    t.delete(&format!("/parking-lots/{lot}"), Some(&admin)).await.expect(409);
    t.delete(&format!("/reservations/{reserved}"), Some(&asha)).await.expect(200);
    t.delete(&format!("/parking-lots/{lot}"), Some(&admin)).await.expect(200);
    t.get("/users", Some(&admin)).await.expect(200);
    t.get(&format!("/users/{}", asha.id), Some(&asha)).await.expect(200);
    let names = [
        "users_created",
        "users_deleted",
        "parking_lots_created",
        "parking_lots_deleted",
        "reservations_cancelled",
        "total_reservations",
    ];
    assert_eq!(counts(&t, names).await, [1; 6]);
    assert_eq!(
        counts(&t, ["daily_reservations:2026-11-20", "total_registrations", "api_calls:users:get"]).await,
        [1, 1, 2]
    );
}

#[testkit::both_databases]
async fn requests_are_counted_by_endpoint_and_status(t: TestApp) {
    let lot = t.lot(1).await;
    for _ in 0..3 {
        t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
    }
    t.get("/parking-lots/999999", None).await.problem(404, "not_found");
    t.get("/nowhere", None).await.problem(404, "not_found");
    // Clients can invent methods; unknown ones share one name.
    for method in ["AAAA1", "AAAA2"] {
        t.send(t.request(method.parse().unwrap(), "/parking-lots", None))
            .await
            .problem(405, "method_not_allowed");
    }
    assert_eq!(
        counts(&t, ["endpoint_calls:OTHER /parking-lots", "endpoint_calls:AAAA1 /parking-lots"]).await,
        [2, 0]
    );
    let names = [
        "endpoint_calls:GET /parking-lots/{id}",
        "api_calls:parking_lots:get",
        "response_codes:200",
        "response_codes:404",
        "total_api_calls",
    ];
    assert_eq!(counts(&t, names).await, [4, 4, 3, 2, 7]);
}

/// Defect 35: each user counts as active for 12 hours after their last request, independently of other users.
#[testkit::both_databases]
async fn active_users_cover_the_last_twelve_hours(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, _) = (t.driver("Asha").await, t.driver("Ravi").await);
    t.get("/auth/sessions", Some(&asha)).await.expect(200);
    let ravi = t.log_in("ravi@example.com").await;
    assert_eq!(active_users(&t).await, 2);
    clock.advance(chrono::TimeDelta::hours(11));
    t.log_in(&asha.email).await;
    clock.advance(chrono::TimeDelta::hours(2));
    assert_eq!(active_users(&t).await, 1);
    t.log_in(&ravi.email).await;
    let again = t.log_in(&asha.email).await;
    assert_eq!(active_users(&t).await, 2);
    t.post("/auth/logout", Some(&again), json!({})).await.expect(200);
    assert_eq!(active_users(&t).await, 1);
}

#[testkit::both_databases]
async fn counts_of_several_processes_add_up(t: TestApp) {
    let (processes, clients) = two_processes(&t).await;
    let lot = t.lot(1).await;
    let calls = (0..400).map(|i| {
        let client = clients[i % 2].clone();
        async move { client.get(&format!("/parking-lots/{lot}"), "").await.0 }
    });
    assert!(at_once(calls).await.iter().all(|status| *status == 200));
    t.eventually("both processes have written their counts", async || {
        counts(&t, ["endpoint_calls:GET /parking-lots/{id}"]).await == [400]
    })
    .await;
    let [hits, misses] = counts(&t, ["cache_hits:parking_lot", "cache_misses:parking_lot"]).await;
    assert!(misses >= 1 && hits + misses <= 400, "{hits} and {misses}: concurrent callers share a load");
    drop(processes);
}

#[testkit::both_databases]
async fn disabled_counters_count_nothing(t: TestApp) {
    let t = t.second_process(&[("COUNTERS_ENABLED", "false")]).await;
    t.driver("Asha").await;
    t.get("/parking-lots", None).await.expect(200);
    let names = ["total_api_calls", "total_registrations", "cache_misses:parking_lots", "response_codes:200"];
    assert_eq!(counts(&t, names).await, [0; 4]);
    assert_eq!(active_users(&t).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_survive_a_redis_outage() {
    for engine in ENGINES {
        let (t, mut redis) = TestApp::start_with_redis(engine).await;
        t.get("/parking-lots", None).await.expect(200);
        assert_eq!(counts(&t, ["cache_misses:parking_lots"]).await, [1]);
        redis.kill().await.unwrap();
        for name in ["Asha", "Ravi", "Mina"] {
            t.get("/parking-lots", None).await.expect(200);
            t.driver(name).await;
            t.app.counters.flush().await;
        }
        redis.restart().await.unwrap();
        t.eventually("Redis is back", async || {
            let errors = t.app.counters.read(&["cache_errors:parking_lots"]).await;
            errors.is_ok_and(|errors| errors == [3])
        })
        .await;
        assert_eq!(counts(&t, ["total_registrations"]).await, [3]);
        assert_eq!(active_users(&t).await, 3);
    }
}
