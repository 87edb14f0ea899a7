//! Counters: what is counted, where, and for how long.

use redis::Cmd;
use serde_json::json;
use shared::{clock::Clock, counters};
use testkit::TestApp;

use crate::support::noon;

async fn counts<const N: usize>(t: &TestApp, names: [&str; N]) -> [i64; N] {
    counters::read(&t.app, &names).await.unwrap().try_into().unwrap()
}

testkit::on_both! {
    async fn what_people_do_is_counted_in_total_and_by_local_day(t: TestApp) {
        // 20:00 UTC is the next day in Asia/Kolkata.
        let t = t.at(Clock::fixed("2026-11-20T20:00:00Z".parse().unwrap())).await;
        let asha = t.driver("Asha").await;
        t.log_in(&asha.email).await;
        let lot = t.lot(2).await;
        t.book(&asha, lot).await;
        t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
        let names = ["total_registrations", "total_logins", "total_logouts", "total_reservations"];
        assert_eq!(counts(&t, names).await, [1, 1, 1, 1]);
        let days = ["daily_registrations:2026-11-21", "daily_logins:2026-11-21", "daily_reservations:2026-11-21", "daily_logins:2026-11-20"];
        assert_eq!(counts(&t, days).await, [1, 1, 1, 0]);
        // Defect 34: daily counters end by themselves.
        let ttl = Cmd::ttl(t.app.redis.keys().counter("daily_logins:2026-11-21"));
        let ttl: i64 = t.app.redis.ask(async |mut redis| ttl.query_async(&mut redis).await).await.unwrap();
        assert!((39 * 86_400..=40 * 86_400).contains(&ttl), "{ttl}");
    }

    async fn requests_are_counted_by_endpoint_and_status(t: TestApp) {
        let lot = t.lot(1).await;
        for _ in 0..3 {
            t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
        }
        t.get("/parking-lots/999999", None).await.problem(404, "not_found");
        t.get("/nowhere", None).await.problem(404, "not_found");
        // Anybody can make up methods; they share one name.
        for method in ["AAAA1", "AAAA2"] {
            t.send(t.request(method.parse().unwrap(), "/parking-lots", None)).await.problem(405, "method_not_allowed");
        }
        assert_eq!(counts(&t, ["endpoint_calls:OTHER /parking-lots", "endpoint_calls:AAAA1 /parking-lots"]).await, [2, 0]);
        let names = ["endpoint_calls:GET /parking-lots/{id}", "api_calls:parking_lots:get", "response_codes:200", "response_codes:404", "total_api_calls"];
        assert_eq!(counts(&t, names).await, [4, 4, 3, 2, 7]);
    }

    /// Defect 35: each user is active for 12 hours after they were last seen, whatever the others do.
    async fn active_users_are_those_of_the_last_twelve_hours(t: TestApp) {
        let clock = Clock::fixed(noon());
        let t = t.at(clock.clone()).await;
        let (asha, _) = (t.driver("Asha").await, t.driver("Ravi").await);
        t.get("/auth/sessions", Some(&asha)).await.expect(200);
        let ravi = t.log_in("ravi@example.com").await;
        assert_eq!(counters::active_users(&t.app).await.unwrap(), 2);
        clock.advance(chrono::TimeDelta::hours(11));
        t.log_in(&asha.email).await;
        clock.advance(chrono::TimeDelta::hours(2));
        assert_eq!(counters::active_users(&t.app).await.unwrap(), 1);
        t.log_in(&ravi.email).await;
        let again = t.log_in(&asha.email).await;
        assert_eq!(counters::active_users(&t.app).await.unwrap(), 2);
        t.post("/auth/logout", Some(&again), json!({})).await.expect(200);
        assert_eq!(counters::active_users(&t.app).await.unwrap(), 1);
    }
}
