//! PostgreSQL servers that are read-only, of which there are several, and that are behind a pooler.

use std::time::Duration;

use devstack::{PgBouncer, Postgres};
use sea_orm::ConnectionTrait;
use serde_json::json;
use testkit::{Driver, Engine, Processes, TestApp};

use crate::support::{Client, number};

async fn set_read_only(server: &Postgres, value: &str) {
    let text = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
    server.query("postgres", &text).await.unwrap();
    server.query("postgres", "SELECT pg_reload_conf()").await.unwrap();
}

/// Books and releases a spot, also that of an earlier booking whose release was refused. Returns the status of the booking.
async fn book(t: &TestApp, driver: &Driver, lot: i64) -> u16 {
    let query = "SELECT COALESCE(MAX(id), 0) AS n FROM reservations WHERE state = 'active' AND user_id = ";
    let left = number(t, &format!("{query}{}", driver.id)).await;
    if left > 0 {
        t.release(driver, left).await;
    }
    let answer = t.post("/booking/book-spot", Some(driver), json!({ "lot_id": lot })).await;
    match answer.status.as_u16() {
        201 => {
            let reservation = answer.body["reservation"]["id"].as_i64().unwrap();
            let released = t.release(driver, reservation).await;
            assert!([200, 503].contains(&released.status.as_u16()), "{}", released.text);
        }
        503 => assert!(answer.headers.contains_key("retry-after"), "{}", answer.text),
        _ => {}
    }
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_postgres_is_unavailable_until_it_recovers() {
    let server = Postgres::start_with(&["-c", "fsync=off"]).await.unwrap();
    let url = server.create_database("parkade").await.unwrap();
    let t = TestApp::start_with(Engine::Postgres, &[("DATABASE_URL", &url)]).await;
    let (lot, asha, worker) = (t.lot(1).await, t.driver("Asha").await, t.work());
    assert_eq!(book(&t, &asha, lot).await, 201);

    // Sessions notice new settings one by one.
    set_read_only(&server, "on").await;
    testkit::eventually("bookings are refused", async || book(&t, &asha, lot).await == 503).await;
    testkit::eventually("readiness notices", || async {
        t.get("/health/ready", None).await.status == 503 && book(&t, &asha, lot).await == 503
    })
    .await;
    skips_a_read_only_host(&server).await;

    set_read_only(&server, "off").await;
    testkit::eventually("readiness recovers", || async { t.get("/health/ready", None).await.status == 200 })
        .await;
    testkit::eventually("bookings are accepted", async || book(&t, &asha, lot).await == 201).await;
    let asked = t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202).body;
    let task = format!("/tasks/{}", asked["task_id"].as_str().unwrap());
    testkit::eventually("the worker runs jobs again", || async {
        t.get(&task, Some(&asha)).await.body["state"] == "SUCCESS"
    })
    .await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state = 'failed'").await, 0);
    worker.stop().await;
    t.is_sound().await;
}

async fn skips_a_read_only_host(read_only: &Postgres) {
    let other = testkit::postgres().await;
    let ports = format!("127.0.0.1:{},127.0.0.1:{}", read_only.port(), other.port());
    other.create_database("second_host").await.unwrap();
    let url = format!("postgres://postgres@{ports}/second_host?target_session_attrs=read-write");
    let t = TestApp::start_with(Engine::Postgres, &[("DATABASE_URL", &url)]).await;
    t.driver("Asha").await;
    assert_eq!(other.query("second_host", "SELECT COUNT(*) FROM users").await.unwrap(), "1");
}

/// The pooler has fewer connections than there are clients, so that each transaction may get another session.
#[tokio::test(flavor = "multi_thread")]
async fn processes_share_sessions_of_pgbouncer() {
    if !PgBouncer::is_installed() {
        return eprintln!("skipped: PgBouncer is not installed");
    }
    let server = testkit::postgres().await;
    server.create_database("bounced").await.unwrap();
    let bouncer = PgBouncer::start(server, 3, &[]).await.unwrap();
    let url = bouncer.url("bounced");
    let t = TestApp::start_with(Engine::Postgres, &[("DATABASE_URL", &url)]).await;
    let (lot, processes) = (t.lot(30).await, Processes::of(&t, &[]));
    let worker = processes.worker();
    let (_api, base) = processes.api().await;
    let drivers: Vec<Driver> = futures::future::join_all(
        (0..6)
            .map(|n| async move { n.to_string() })
            .map(|name| async { t.driver(&format!("Driver {}", name.await)).await }),
    )
    .await;
    for _ in 0..3 {
        let booked = futures::future::join_all(drivers.iter().map(|driver| book(&t, driver, lot))).await;
        assert!(booked.iter().all(|status| *status == 201), "{booked:?}");
    }
    let client = Client::of(&base);
    let (status, asked) = client.post("/export/csv/request", &drivers[0].token, json!({})).await;
    assert_eq!(status, 202, "{asked}");
    let task = format!("/tasks/{}", asked["task_id"].as_str().unwrap());
    testkit::eventually("the worker runs jobs", || async {
        client.get(&task, &drivers[0].token).await.1["state"] == "SUCCESS"
    })
    .await;
    let row = t.app.db.read().query_one_raw(shared::platform::db::sql(
        t.app.db.read(),
        "SELECT current_setting('lock_timeout') AS t",
        [],
    ));
    assert_eq!(row.await.unwrap().unwrap().try_get::<String>("", "t").unwrap(), "1400ms");
    t.is_sound().await;
    worker.terminate().unwrap();
    assert_eq!(worker.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", worker.log());
    assert!(!worker.log().contains("ERROR"), "{}", worker.log());
}
