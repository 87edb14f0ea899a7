//! Reserved spots that nobody occupies in time: they expire and become free.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    base::{clock::Clock, time::rfc3339},
    parking::bookings,
};
use testkit::{Answer, Driver, Engine, TestApp};

use crate::support::{
    ENGINES, change, content, noon, number, plain, pointers, reserve as by_sql, seconds, spots,
};

use crate::reservations::{an_hour, book, cancel, hours, occupy, reserve, window};

/// Defects 11 and 28: late drivers do not get a session, whether or not the sweep has run.
#[testkit::both_databases]
async fn unused_reservations_expire(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(3).await;
    let [first, second, third] = spots(&t, lot).await.try_into().unwrap();
    let in_time = an_hour(&t, &asha, first, noon()).await;
    let late = an_hour(&t, &asha, second, noon()).await;
    let short = reserve(&t, &asha, third, noon(), noon() + minutes(10)).await.expect(201).body["reservation"]
        ["id"]
        .as_i64()
        .unwrap();
    clock.advance(minutes(10));
    let answer = occupy(&t, &asha, short).await;
    answer.problem(409, "expired");
    assert!(answer.body["detail"].as_str().unwrap().contains("expired"), "{}", answer.text);
    clock.advance(minutes(20));
    assert_eq!(bookings::expire_no_shows(&t.app).await.unwrap(), 1, "one window is over");
    occupy(&t, &asha, in_time).await.expect(200);
    t.release(&asha, in_time).await.expect(200);
    clock.advance(micro());
    for _ in 0..2 {
        for id in [late, short] {
            occupy(&t, &asha, id).await.problem(409, "expired");
            t.release(&asha, id).await.problem(409, "expired");
            cancel(&t, &asha, id).await.problem(409, "expired");
        }
        bookings::expire_no_shows(&t.app).await.unwrap();
    }
    assert_eq!(bookings::expire_no_shows(&t.app).await.unwrap(), 0);
    for id in [late, short] {
        assert_eq!(status(&t, &asha, id).await, (json!("expired"), json!(0.0)));
    }
    assert_eq!(status(&t, &asha, in_time).await, (json!("completed"), json!(25.5)));
}

#[testkit::both_databases]
async fn expiry_runs_in_batches_until_nothing_is_left(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let long_ago = t.app.clock.now() - TimeDelta::days(30);
    for n in 0..1_500 {
        by_sql(&t, asha.id, spot, long_ago + seconds(n), long_ago + seconds(n + 1)).await.unwrap();
    }
    let now = t.app.clock.now();
    let coming = by_sql(&t, asha.id, spot, now + hours(1), now + hours(2)).await.unwrap();
    let running = by_sql(&t, asha.id, spot, now - hours(2), now - hours(1)).await.unwrap();
    change(
        &t,
        "UPDATE reservations SET state = 'active', arrived_at = starts_at WHERE id = $1",
        [running.into()],
    )
    .await
    .unwrap();
    assert_eq!(bookings::expire_no_shows(&t.app).await.unwrap(), 1_000);
    let _worker = t.work();
    let of = async |state: &str| {
        number(&t, &format!("SELECT COUNT(*) AS n FROM reservations WHERE state = '{state}'")).await
    };
    t.eventually("all have expired", async || of("expired").await == 1_500).await;
    assert_eq!(status(&t, &asha, coming).await.0, "reserved");
    assert_eq!(status(&t, &asha, running).await.0, "active");
}

#[testkit::both_databases]
async fn expiry_sweep_survives_database_errors(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let long_ago = t.app.clock.now() - hours(5);
    let id = by_sql(&t, asha.id, spots(&t, lot).await[0], long_ago, long_ago + hours(9)).await.unwrap();
    change(&t, "ALTER TABLE reservations RENAME TO away", []).await.unwrap();
    let worker = t.work();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    change(&t, "ALTER TABLE away RENAME TO reservations", []).await.unwrap();
    assert_eq!(status(&t, &asha, id).await.0, "reserved");
    t.eventually("the next sweep expires it", async || status(&t, &asha, id).await.0 == "expired").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_show_grace_is_configurable() {
    let t = TestApp::start_with(Engine::Sqlite, &[("RESERVATION_NO_SHOW_MINUTES", "5")]).await;
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = an_hour(&t, &asha, spots(&t, lot).await[0], noon()).await;
    clock.advance(minutes(5) + micro());
    occupy(&t, &asha, id).await.problem(409, "expired");
}

#[testkit::both_databases]
async fn no_shows_free_their_spot_without_a_worker(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, ravi, mira) = (t.driver("Asha").await, t.driver("Ravi").await, t.driver("Mira").await);
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let until = noon() + hours(8);
    let lost = async |spot| {
        let made = reserve(&t, &asha, spot, clock.now(), until).await.expect(201);
        made.body["reservation"]["id"].as_i64().unwrap()
    };
    // A driver who books.
    let (one, two) = (lost(first).await, lost(second).await);
    book(&t, &ravi, lot).await.problem(409, "lot_full");
    clock.advance(minutes(30));
    book(&t, &ravi, lot).await.problem(409, "lot_full");
    clock.advance(micro());
    let booked = t.book(&ravi, lot).await;
    assert_eq!(
        (status(&t, &asha, one).await.0, status(&t, &asha, two).await.0),
        (json!("expired"), json!("expired"))
    );
    t.release(&ravi, booked).await.expect(200);

    // A driver who reserves.
    lost(first).await;
    clock.advance(minutes(31));
    reserve(&t, &ravi, first, clock.now(), clock.now() + minutes(1)).await.expect(201);
    clock.advance(minutes(1));

    // A driver whose own spot is overstayed.
    let begin = clock.now();
    let before = reserve(&t, &ravi, first, begin, begin + minutes(40)).await.expect(201).body["reservation"]
        ["id"]
        .as_i64()
        .unwrap();
    let after = an_hour(&t, &mira, first, begin + minutes(40)).await;
    lost(second).await;
    occupy(&t, &ravi, before).await.expect(200);
    clock.advance(minutes(41));
    let moved = occupy(&t, &mira, after).await.expect(200);
    assert_eq!(moved.body["reservation"]["spot_id"], second);
}
