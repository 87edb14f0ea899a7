//! The clean-up: what it deletes, what it keeps, and that it survives being killed.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use shared::{
    jobs::{NewJob, ledger},
    operations::cleanup::CleanUp,
    parking::{accounts, exports::cleanup::CleanUpExports},
    platform::db::{at, sql},
};
use testkit::{Engine, PASSWORD, Processes, TestApp};
use uuid::Uuid;

use crate::support::{enqueue, execute, file_of, insert, number, people, reaches, request_export, within};

/// Inserts a job that ended `ago`.
async fn ended(t: &TestApp, job: &NewJob, state: &str, ago: TimeDelta) -> Uuid {
    let id = insert(t, job).await.id;
    let when = at(t.app.clock.now() - ago);
    execute(t, "UPDATE jobs SET state = $2, finished_at = $3 WHERE id = $1", [id.into(), state.into(), when])
        .await;
    id
}

fn some_job() -> NewJob {
    NewJob::of(&CleanUpExports {}).unwrap()
}

/// Runs the clean-up and returns the non-zero counts of what it deleted.
async fn clean_up(t: &TestApp) -> Value {
    let id = enqueue(t, &CleanUp { due: t.app.clock.now() }).await;
    let mut result: Value = serde_json::from_str(&reaches(t, id, "succeeded").await.result.unwrap()).unwrap();
    result.as_object_mut().unwrap().retain(|_, count| *count != 0);
    result
}

async fn mail(t: &TestApp, key: &str, state: &str, job: Uuid, ago: TimeDelta) {
    let text = "INSERT INTO email_deliveries (key, kind, job_id, message_id, state, created_at, updated_at)
        VALUES ($1, 'welcome', $2, $1, $3, $4, $4)";
    execute(t, text, [key.into(), job.into(), state.into(), at(t.app.clock.now() - ago)]).await;
}

async fn exists(t: &TestApp, id: Uuid) -> bool {
    ledger::find(&t.app.db, id).await.unwrap().is_some()
}

async fn keys(t: &TestApp, column: &str, table: &str) -> Vec<String> {
    let db = t.app.db.read();
    let text = format!("SELECT {column} AS key FROM {table} ORDER BY {column}");
    let rows = db.query_all_raw(sql(db, &text, [])).await.unwrap();
    rows.iter().map(|row| row.try_get("", "key").unwrap()).collect()
}

/// Only drivers who registered with this release, never verified their address and never booked.
#[testkit::both_databases]
async fn unverified_accounts_without_bookings_are_removed(t: TestApp) {
    let names = ["Gone", "Young", "Verified", "Parked", "Earlier", "Staff"];
    let mut drivers = Vec::new();
    for name in names {
        drivers.push(t.driver(name).await);
    }
    let lot = t.lot(1).await;
    t.book(&drivers[3], lot).await;
    let since = "UPDATE users SET unverified_since = $2 WHERE username = $1";
    for name in names {
        let ago = if name == "Young" { days(29) } else { days(31) };
        execute(&t, since, [name.into(), at(t.app.clock.now() - ago)]).await;
    }
    for text in [
        "UPDATE users SET email_verified = TRUE WHERE username = 'Verified'",
        "UPDATE users SET unverified_since = NULL WHERE username = 'Earlier'",
        "UPDATE users SET role = 'admin' WHERE username = 'Staff'",
    ] {
        execute(&t, text, []).await;
    }
    let worker = t.work();
    assert_eq!(clean_up(&t).await["unverified_accounts"], 1);
    let gone = "SELECT COUNT(*) AS n FROM users WHERE deleted_at IS NOT NULL AND username LIKE 'deleted-%'";
    assert_eq!(number(&t, gone).await, 1);
    t.get("/users/me", Some(&drivers[0])).await.problem(401, "unauthenticated");
    t.get("/users/me", Some(&drivers[1])).await.expect(200);
    let audited = "SELECT COUNT(*) AS n FROM audit WHERE action = 'user_deleted' AND origin = 'schedule'";
    assert_eq!(number(&t, audited).await, 1);
    worker.stop().await;
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

#[testkit::both_databases]
async fn cleanup_removes_only_expired_data(t: TestApp) {
    let (driver, now) = (t.driver("Asha").await, t.app.clock.now());
    let worker = t.work();
    let downloads = [request_export(&t, &driver).await, request_export(&t, &driver).await];
    for id in downloads {
        reaches(&t, id, "succeeded").await;
    }
    within(Duration::from_secs(20), "three mails are sent", || async { t.mails().len() == 3 }).await;
    // Both ended long ago, but one can still be downloaded.
    let old = at(now - days(40));
    execute(&t, "UPDATE jobs SET finished_at = $1 WHERE kind = 'export-csv'", [old.clone()]).await;
    execute(&t, "UPDATE exports SET expires_at = $1 WHERE id = $2", [old, downloads[0].into()]).await;

    let gone = [
        ended(&t, &some_job(), "succeeded", days(31)).await,
        ended(&t, &some_job(), "cancelled", days(31)).await,
    ];
    let dead = ended(&t, &some_job(), "failed", days(400)).await;
    let young = ended(&t, &some_job(), "succeeded", days(29)).await;
    let waiting = insert(&t, &some_job().run_at(now + days(1))).await.id;
    for (key, state, job, ago) in [
        ("forgotten", "sent", gone[0], 93),
        ("dead", "sent", dead, 400),
        ("young", "sent", gone[0], 91),
        ("held", "ambiguous", gone[0], 400),
    ] {
        mail(&t, key, state, job, days(ago)).await;
    }
    for (name, ago) in [("old", 31), ("young", 29)] {
        execute(
            &t,
            "INSERT INTO cron_ticks (name, tick, created_at) VALUES ($1, $2, $2)",
            [name.into(), at(now - days(ago))],
        )
        .await;
    }
    let session = "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $3)";
    execute(&t, session, [Uuid::new_v4().into(), driver.id.into(), at(now - TimeDelta::seconds(1))]).await;
    execute(&t, "DELETE FROM account_tokens", []).await;
    let token = "INSERT INTO account_tokens (id, kind, user_id, hash, created_at, expires_at) VALUES ($1, 'password_reset', $2, $3, $4, $4)";
    for (hash, seconds) in [("old", -1), ("young", 60)] {
        let expires = at(now + TimeDelta::seconds(seconds));
        execute(&t, token, [Uuid::new_v4().into(), driver.id.into(), hash.into(), expires]).await;
    }
    let known = "INSERT INTO known_addresses (user_id, hash, last_seen_at) VALUES ($1, $2, $3)";
    for (hash, ago) in [("old", 31), ("young", 29)] {
        execute(&t, known, [driver.id.into(), hash.into(), at(now - days(ago))]).await;
    }
    let code = "INSERT INTO phone_codes (id, user_id, phone_number, hash, created_at, expires_at) VALUES ($1, $2, 'x', 'x', $3, $3)";
    for seconds in [-1, 60] {
        let expires = at(now + TimeDelta::seconds(seconds));
        execute(&t, code, [Uuid::new_v4().into(), driver.id.into(), expires]).await;
    }
    t.lot(1).await;
    for (days, state) in [(91, "paid"), (91, "unpaid"), (89, "paid")] {
        let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at, hourly_rate_minor,
                created_at, payment_state, plate, house)
            SELECT $1, lot_id, id, 'completed', $2, $2, $2, 0, $2, $3, 'GUEST', TRUE FROM spots ORDER BY id LIMIT 1";
        execute(&t, text, [driver.id.into(), at(now - TimeDelta::days(days)), state.into()]).await;
    }
    let key = "INSERT INTO idempotency_keys (user_id, key, request_hash, created_at) VALUES (1, $1, '', $2)";
    for (name, hours) in [("old", 25), ("young", 23)] {
        execute(&t, key, [name.into(), at(now - TimeDelta::hours(hours))]).await;
    }
    execute(&t, "DELETE FROM email_deliveries WHERE user_id IS NOT NULL", []).await;

    let bytes = std::fs::metadata(file_of(&t, downloads[0])).unwrap().len();
    let mut freed = clean_up(&t).await;
    // The worker's background sweep may have deleted the old key already.
    freed.as_object_mut().unwrap().remove("kept_answers");
    let expected = json!({ "expired_exports": 1, "files": 1, "bytes": bytes, "ended_jobs": 3, "expired_sessions": 1, "expired_tokens": 1, "known_addresses": 1, "expired_codes": 1, "plates_of_guests": 1, "ticks": 1, "records_of_mails": 1 });
    assert_eq!(freed, expected);
    // Not sound: they belong to a driver.
    execute(&t, "DELETE FROM reservations WHERE house", []).await;
    for (id, stays) in [
        (gone[0], false),
        (gone[1], false),
        (dead, true),
        (young, true),
        (waiting, true),
        (downloads[0], false),
        (downloads[1], true),
    ] {
        assert_eq!(exists(&t, id).await, stays, "{id}");
    }
    assert_eq!(keys(&t, "key", "email_deliveries").await, ["dead", "held", "young"]);
    assert_eq!(
        (keys(&t, "name", "cron_ticks").await, keys(&t, "key", "idempotency_keys").await),
        (vec!["young".to_owned()], vec!["young".to_owned()])
    );
    assert_eq!(keys(&t, "hash", "account_tokens").await, ["young"]);
    assert!(!file_of(&t, downloads[0]).exists());
    t.get(&format!("/export/download/{}", downloads[1]), Some(&driver)).await.expect(200);
    t.is_sound().await;
    assert_eq!(clean_up(&t).await, json!({}), "nothing is left to delete");
    worker.stop().await;
}

#[testkit::both_databases]
async fn cleanup_is_reported_to_admins_once(t: TestApp) {
    accounts::create_admin(&t.app, "boss", "boss@example.com", PASSWORD).await.unwrap();
    people(&t, 2).await;
    ended(&t, &some_job(), "succeeded", days(31)).await;
    let worker = t.work();
    let due = t.app.clock.now();
    for _ in 0..2 {
        let id = enqueue(&t, &CleanUp { due }).await;
        reaches(&t, id, "succeeded").await;
    }
    within(Duration::from_secs(20), "the notices are sent", || async {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-notice' AND state = 'succeeded'").await
            > 0
            && number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE state IN ('queued', 'running')").await == 0
    })
    .await;
    let mails = t.mails();
    assert_eq!(mails.len(), 1, "one mail per tick, even if the job runs again");
    assert_eq!(mails[0].to_address, "boss@example.com");
    assert!(
        mails[0].text.contains("ended jobs") && mails[0].html.contains("ended jobs"),
        "{}",
        mails[0].text
    );
    worker.stop().await;
}

/// Inserts many jobs that ended long ago.
async fn long_history(t: &TestApp, count: i64) {
    let id = match t.engine {
        Engine::Sqlite => "randomblob(16)",
        Engine::Postgres => "gen_random_uuid()",
    };
    let text = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})
         INSERT INTO jobs (id, kind, queue, payload, state, max_attempts, run_at, created_at, finished_at)
         SELECT {id}, 'old', 'mail', '{{}}', 'succeeded', 1, $1, $1, $1 FROM c"
    );
    let long_ago: DateTime<Utc> = t.app.clock.now() - days(40);
    execute(t, &text, [at(long_ago)]).await;
}

const OLD: &str = "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'old'";

#[testkit::both_databases(together)]
async fn killed_cleanup_is_finished_by_the_next_run(t: TestApp) {
    const JOBS: i64 = 60_000;
    long_history(&t, JOBS).await;
    let id = enqueue(&t, &CleanUp { due: t.app.clock.now() }).await;
    let processes = Processes::of(&t, &[]);
    let worker = processes.worker();
    within(Duration::from_secs(30), "the first batches are deleted", || async {
        number(&t, OLD).await < JOBS
    })
    .await;
    worker.kill().unwrap();
    let left = number(&t, OLD).await;
    assert!(
        0 < left && left < JOBS && left % 500 == 0,
        "whole batches are deleted, and some are left: {left}"
    );
    let _next = processes.worker();
    assert_eq!(reaches(&t, id, "succeeded").await.attempt, 2);
    assert_eq!(number(&t, OLD).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_does_not_block_writers() {
    let t = TestApp::start(Engine::Sqlite).await;
    long_history(&t, 50_000).await;
    let id = enqueue(&t, &CleanUp { due: t.app.clock.now() }).await;
    let worker = t.work();
    let (mut writes, mut longest) = (0, Duration::ZERO);
    while number(&t, OLD).await > 0 {
        let begun = Instant::now();
        insert(&t, &some_job().run_at(t.app.clock.now() + days(1))).await;
        longest = longest.max(begun.elapsed());
        writes += 1;
    }
    reaches(&t, id, "succeeded").await;
    eprintln!("{writes} concurrent writes, the longest took {longest:?}");
    assert!(writes > 20 && longest < Duration::from_secs(1), "{writes} writes, {longest:?}");
    worker.stop().await;
}
