//! Known defects of the old system that no other file covers.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use devstack::{Behaviour, MailSink, Redis};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{base::clock::Clock, platform::mailer::Mailer};
use testkit::{Driver, Engine, Processes, TestApp};

use crate::{
    exports::exported,
    support::{ENGINES, noon, number, spots},
};

/// Defect 8.
#[tokio::test(flavor = "multi_thread")]
async fn new_installation_has_no_default_account() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (_process, base) = Processes::of(&t, &[]).api().await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users").await, 0);
    for path in ["console", "?__debugger__=yes&cmd=resource&f=debugger.js", "debug", "_debug", "debug/pprof"]
    {
        let answer = t.get(&format!("//{path}"), None).await;
        assert!(!answer.text.to_lowercase().contains("debugger"), "{path}: {}", answer.text);
    }
    for path in ["console", "debug", "_debug", "debug/pprof"] {
        assert_eq!(reqwest::get(format!("{base}/{path}")).await.unwrap().status(), 404, "{path}");
    }
}

/// Defect 12.
#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_are_unauthenticated_in_production() {
    for engine in ENGINES {
        let t = TestApp::start_with(engine, &[("APP_ENV", "production")]).await;
        let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
        t.get("/auth/sessions", Some(&asha)).await.expect(200);
        t.delete(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200);
        t.post("/auth/logout", Some(&ravi), json!({})).await.expect(200);
        let garbage = Driver { token: "a.b.c".to_owned(), ..ravi.clone() };
        let paths = [
            "/users",
            "/users/1",
            "/users/x/reservations",
            "/reports",
            "/user-reports",
            "/user-booking-history",
        ];
        let more = [
            "/export/parking-details",
            "/export/monthly-report",
            "/tasks/export-csv",
            "/reservations",
            "/parking-spots",
        ];
        for path in paths.iter().chain(&more) {
            for who in [None, Some(&garbage), Some(&asha), Some(&ravi)] {
                t.get(path, who).await.problem(401, "unauthenticated");
            }
        }
        for action in ["book-spot", "occupy-spot", "release-spot"] {
            for who in [None, Some(&garbage), Some(&asha), Some(&ravi)] {
                t.post(&format!("/booking/{action}"), who, json!({ "lot_id": 1 }))
                    .await
                    .problem(401, "unauthenticated");
            }
        }
    }
}

/// Defect 15: the mail server accepts mails but never replies, before and while people park.
#[tokio::test(flavor = "multi_thread")]
async fn requests_do_not_wait_for_the_mail_server() {
    for engine in ENGINES {
        let mut t = TestApp::start(engine).await;
        let sink = MailSink::start().await.unwrap();
        sink.set(Behaviour::Hang);
        let mut mail = t.app.config.mail.clone();
        (mail.server, mail.port, mail.use_tls) = (Some("127.0.0.1".into()), sink.addr().port(), false);
        t.app = t.app.with(|app| app.mailer = Mailer::from_config(&mail).unwrap());
        let _worker = t.work();
        let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
        t.eventually("a mail hangs", async || sink.attempts() > 0).await;
        for _ in 0..5 {
            let begun = Instant::now();
            let reservation = t.book(&asha, lot).await;
            t.release(&asha, reservation).await.expect(200);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
        assert!(sink.messages().is_empty());
    }
}

/// Defect 24: the bill can be recomputed from the answer, and clients cannot influence it.
#[testkit::both_databases]
async fn bill_ignores_amounts_sent_by_clients(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let spot = spots(&t, lot).await[0];
    let free = json!({ "parking_cost": 0, "cost": 0, "price": 0, "total": 0, "charged_hours": 0, "hourly_rate": 0, "paid": true });
    let with = |mut body: Value| {
        body.as_object_mut().unwrap().extend(free.as_object().unwrap().clone());
        body
    };
    let window =
        json!({ "spot_id": spot, "parking_time": noon(), "leaving_time": noon() + TimeDelta::minutes(150) });
    let reserved =
        t.post("/reservations", Some(&asha), with(window)).await.expect(201).body["reservation"].clone();
    t.post("/booking/occupy-spot", Some(&asha), with(json!({ "reservation_id": reserved["id"] })))
        .await
        .expect(200);
    clock.advance(TimeDelta::minutes(150));
    let release =
        with(json!({ "reservation_id": reserved["id"], "transaction_id": "A", "payment_method": "upi" }));
    let bill =
        t.post("/booking/release-spot", Some(&asha), release).await.expect(200).body["reservation"].clone();
    let charged = bill["charged_hours"].as_f64().unwrap() * bill["hourly_rate"].as_f64().unwrap();
    assert_eq!((bill["charged_hours"].as_i64(), bill["parking_cost"].as_f64()), (Some(3), Some(76.5)));
    assert_eq!(bill["parking_cost"].as_f64(), Some(charged));
    // The quote covers the exact time, the bill started hours.
    assert_eq!(reserved["parking_cost"], 63.75);
    let other = json!({ "reservation_id": reserved["id"], "transaction_id": "B" });
    assert_eq!(t.post("/booking/release-spot", Some(&asha), other).await.status, 409);
}

/// How often the server has executed each command.
async fn commands(redis: &Redis) -> String {
    let client = redis::Client::open(redis.url(0)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap()
}

/// Defects 31 and 32: no operation scans all keys of Redis or flushes it.
#[tokio::test(flavor = "multi_thread")]
async fn requests_never_scan_or_flush_redis() {
    let (t, redis) = TestApp::start_with_redis(Engine::Sqlite).await;
    let _worker = t.work();
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    let reservation = t.book(&asha, lot).await;
    t.release(&asha, reservation).await.expect(200);
    exported(&t, &asha, json!({})).await;
    for path in [
        "/reports",
        "/users",
        "/parking-spots",
        "/reservations",
        "/admin/integrity",
        "/debug/database-info",
        "/export/admin/jobs",
        "/export/parking-details",
    ] {
        t.get(path, Some(&admin)).await.expect(200);
    }
    for path in ["/parking-lots", "/health", "/health/redis", "/user-reports", "/user/activity"] {
        t.get(path, Some(&asha)).await.expect(200);
    }
    t.put(&format!("/parking-lots/{lot}"), Some(&admin), json!({ "price": 3 })).await.expect(200);
    t.delete(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200);
    t.post("/export/admin/cleanup", Some(&admin), json!({})).await.expect(202);
    let commands = commands(&redis).await;
    assert!(commands.contains("cmdstat_mget"), "the cache was used: {commands}");
    for forbidden in ["cmdstat_keys:", "cmdstat_flush"] {
        assert!(!commands.contains(forbidden), "{forbidden}: {commands}");
    }
}

/// Defect 32: losing the data in Redis loses nothing that cannot be recomputed.
#[tokio::test(flavor = "multi_thread")]
async fn emptied_redis_loses_nothing() {
    for engine in ENGINES {
        let (t, redis) = TestApp::start_with_redis(engine).await;
        let (asha, lot) = (t.driver("Asha").await, t.lot(2).await);
        let book = async || {
            let request =
                t.request(Method::POST, "/booking/book-spot", Some(&asha)).header("idempotency-key", "k");
            t.send(request.json(&json!({ "lot_id": lot }))).await.expect(201)
        };
        let booked = book().await;
        let export =
            t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202).body["task_id"].clone();
        let path = format!("/tasks/{}", export.as_str().unwrap());
        redis.flush_all().await.unwrap();
        t.get("/auth/sessions", Some(&asha)).await.expect(200);
        let again = book().await;
        assert_eq!(
            (again.headers["idempotency-replayed"].to_str().unwrap(), again.text),
            ("true", booked.text)
        );
        let lots = t.get("/parking-lots", None).await.expect(200);
        assert_eq!(lots.body["lots"][0]["available_slots"], 1);
        let _worker = t.work();
        t.eventually("the export is written", async || {
            t.get(&path, Some(&asha)).await.body["state"] == "SUCCESS"
        })
        .await;
    }
}

/// Defect 52.
#[tokio::test(flavor = "multi_thread")]
async fn mail_links_use_the_public_url() {
    let t = TestApp::start_with(Engine::Sqlite, &[("PUBLIC_URL", "https://park.example")]).await;
    let _worker = t.work();
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let reservation = t.book(&asha, lot).await;
    t.release(&asha, reservation).await.expect(200);
    exported(&t, &asha, json!({})).await;
    t.eventually("four mails are sent", async || t.mails().len() == 4).await;
    for mail in t.mails() {
        for body in [mail.text, mail.html.replace("&#x2f;", "/")] {
            assert!(body.contains("https://park.example"), "{body}");
            assert!(!body.contains("localhost") && !body.contains("127.0.0.1"), "{body}");
        }
    }
}

/// Defect 57: displayed counters are maintained, and each name has one meaning.
#[testkit::both_databases]
async fn every_reported_counter_counts(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let _worker = t.work();
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let meera = json!({ "username": "Meera", "email": "meera@example.com", "password": testkit::PASSWORD });
    t.post("/users", Some(&admin), meera).await.expect(201);
    t.delete(&format!("/users/{}", ravi.id), Some(&admin)).await.expect(200);
    let lot =
        json!({ "location_name": "B", "price": 5, "address": "B", "pincode": "1", "number_of_slots": 1 });
    let lot =
        t.post("/parking-lots", Some(&admin), lot).await.expect(201).body["lot"]["id"].as_i64().unwrap();
    let window = json!({ "spot_id": spots(&t, lot).await[0], "parking_time": noon() + TimeDelta::hours(1), "leaving_time": noon() + TimeDelta::hours(2) });
    let reserved =
        t.post("/reservations", Some(&asha), window).await.expect(201).body["reservation"]["id"].clone();
    t.delete(&format!("/reservations/{reserved}"), Some(&asha)).await.expect(200);
    t.delete(&format!("/parking-lots/{lot}"), Some(&admin)).await.expect(200);
    let again = t.log_in(&asha.email).await;
    t.post("/auth/logout", Some(&again), json!({})).await.expect(200);
    t.log_in(&asha.email).await;

    let calls = t.app.counters.read(&["total_api_calls"]).await.unwrap()[0];
    let analytics = t.get("/reports", Some(&admin)).await.expect(200).body["data"]["redis_analytics"].clone();
    assert_eq!(analytics["total_api_calls"], calls + 1);
    for (name, count) in analytics.as_object().unwrap() {
        assert!(count.as_i64().unwrap() > 0, "{name}: {analytics}");
    }
    t.eventually("the mails are counted", async || {
        let sent = i64::try_from(t.mails().len()).unwrap();
        sent > 0 && t.app.counters.read(&["emails_sent_total"]).await.unwrap()[0] == sent
    })
    .await;
}
