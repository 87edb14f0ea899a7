//! Mails with a database and a mailer in memory: each kind once, and every way in which sending can end.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, EntityTrait};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    app::App,
    base::{clock::Clock, error::Error},
    jobs::{Context, Done, Job, Progress, new_id},
    parking::notifications::{SendConfirmation, SendExportReady, SendReceipt, SendWelcome},
    platform::{
        config::{Config, Sources},
        db::{at, sql},
        entities::{activity, email_delivery},
        mailer::{Mailer, Outbox, SendError},
        rate_limit::Action,
    },
};

struct World {
    app: App,
    outbox: Arc<Mutex<Outbox>>,
    folder: TempDir,
}

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 13, 7, 0).unwrap()
}

/// One user, one lot, one completed reservation with id 1 and an active one with id 2. Redis is away.
async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let config = Config::load(Sources::of([
        ("DATABASE_URL", format!("sqlite://{path}/test.db?mode=rwc")),
        ("UPLOAD_FOLDER", path.to_string()),
        ("REDIS_PORT", "1".into()),
        ("MAIL_DEFAULT_SENDER", "Parkade <no-reply@parkade.example>".into()),
    ]));
    let outbox = Arc::<Mutex<Outbox>>::default();
    let app = App::start(config.unwrap()).await.unwrap().with(|app| {
        app.mailer = Mailer::Memory(Arc::clone(&outbox));
        app.clock = Clock::fixed(noon());
    });
    let world = World { app, outbox, folder };
    for text in [
        "INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, created_at)
         VALUES (1, 'Ann', 'ann', 'ann@example.com', 'ann@example.com', '', 'user', $1)",
        "INSERT INTO lots (id, location_name, address, pincode, price_minor, number_of_slots, created_at, updated_at)
         VALUES (1, 'Centre', 'Main Street 1', '560001', 2550, 10, $1, $1)",
        "INSERT INTO spots (id, lot_id, number) VALUES (1, 1, 12), (2, 1, 13)",
        "INSERT INTO reservations (id, user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at,
            hourly_rate_minor, cost_minor, transaction_id, payment_method, created_at)
         VALUES (1, 1, 1, 1, 'completed', '2026-11-20T11:00:00+00:00', '2026-11-20T11:00:00+00:00', $1,
            2550, 7650, 'TXN1', 'UPI', $1),
            (2, 1, 1, 1, 'active', $1, $1, NULL, 2550, 0, NULL, NULL, $1)",
    ] {
        world.sql(text).await;
    }
    world
}

impl World {
    async fn sql(&self, text: &str) {
        let values = text.contains("$1").then(|| at(noon()));
        self.app.db.write().execute_raw(sql(self.app.db.write(), text, values)).await.unwrap();
    }

    fn script(&self, failures: impl IntoIterator<Item = SendError>) {
        self.outbox.lock().script.extend(failures.into_iter().map(Err));
    }

    fn run(&self, id: Uuid, attempt: i64) -> Context {
        let progress = Progress::default();
        Context { app: self.app.clone(), id, owner_id: None, attempt, progress }
    }

    async fn row(&self) -> email_delivery::Model {
        email_delivery::Entity::find().one(self.app.db.read()).await.unwrap().unwrap()
    }

    /// Moves the clock past the next test of a mail server that failed.
    fn later(&self) {
        self.app.clock.advance(TimeDelta::minutes(1));
    }

    fn sent(&self) -> usize {
        self.outbox.lock().sent.len()
    }
}

fn unknown() -> SendError {
    SendError::Unknown("lost".into())
}

fn waits(result: Result<Done, Error>) -> bool {
    result.unwrap_err().is_transient()
}

const CONFIRM: SendConfirmation = SendConfirmation { reservation_id: 2 };
const RECEIPT: SendReceipt = SendReceipt { reservation_id: 1 };

#[tokio::test]
async fn every_kind_of_mail_has_its_subject_and_facts() {
    let world = world().await;
    let export = new_id();
    std::fs::write(world.folder.path().join(format!("{export}.csv")), "a,b\n").unwrap();
    let hex = export.simple();
    world
        .sql(&format!(
            "INSERT INTO jobs (id, kind, queue, payload, state, max_attempts, run_at, created_at)
             VALUES (x'{hex}', 'export-csv', 'exports', '{{}}', 'succeeded', 1, $1, $1)"
        ))
        .await;
    world
        .sql(&format!(
            "INSERT INTO exports (id, user_id, file_name, row_count, created_at, ready_at, expires_at)
             VALUES (x'{hex}', 1, 'ann.csv', 3, $1, $1, '2026-11-21T13:07:00+00:00')"
        ))
        .await;
    CONFIRM.run(&world.run(new_id(), 1)).await.unwrap();
    RECEIPT.run(&world.run(new_id(), 1)).await.unwrap();
    SendExportReady { export_id: export }.run(&world.run(new_id(), 1)).await.unwrap();
    SendWelcome { user_id: 1 }.run(&world.run(new_id(), 1)).await.unwrap();

    let sent = world.outbox.lock().sent.clone();
    let subjects: Vec<_> = sent.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "Your spot 12 at Centre is booked",
            "Receipt: ₹76.50 for parking at Centre",
            "Your export is ready: ann.csv",
            "Welcome to Parkade, Ann",
        ]
    );
    assert!(sent[0].text.contains("From     20 Nov 2026, 18:37 IST\n  Rate     ₹25.50 an hour"));
    assert!(sent[1].text.contains("Charged      3 hours at ₹25.50 an hour\n  Total        ₹76.50"));
    assert!(sent[1].text.contains("Paid by      UPI\n  Transaction  TXN1\n"));
    assert!(sent[2].text.contains(&format!("http://127.0.0.1:5000/api/export/download/{export}")));
    assert!(sent[2].text.contains("attached") && sent[2].text.contains("Expires  21 Nov 2026, 18:37 IST"));
    assert_eq!(sent[2].attachment.as_ref().unwrap().bytes, b"a,b\n");
    assert!(sent.iter().all(|mail| mail.message_id.ends_with("@parkade.example")));
    let activities = activity::Entity::find().all(world.app.db.read()).await.unwrap();
    let subjects: Vec<_> = activities.iter().filter_map(|a| a.subject.as_deref()).collect();
    assert_eq!(subjects, ["confirmation", "receipt", "export_ready", "welcome"]);
}

#[tokio::test]
async fn reservation_confirmation_shows_its_window() {
    let world = world().await;
    world
        .sql(
            "INSERT INTO reservations (id, user_id, lot_id, spot_id, state, starts_at, ends_at,
                hourly_rate_minor, cost_minor, created_at)
             VALUES (3, 1, 1, 2, 'reserved', '2026-11-20T18:30:00+00:00', '2026-11-20T20:00:00+00:00', 2550, 3825, $1)",
        )
        .await;
    SendConfirmation { reservation_id: 3 }.run(&world.run(new_id(), 1)).await.unwrap();
    CONFIRM.run(&world.run(new_id(), 1)).await.unwrap();
    let sent = world.outbox.lock().sent.clone();
    let window = "From     21 Nov 2026, 00:00 IST\n  Until    21 Nov 2026, 01:30 IST\n  Rate";
    assert!(sent[0].text.contains(window), "{}", sent[0].text);
    assert!(sent[0].text.contains("an hour\n  Quote    ₹38.25\n  Booking  3\n"), "{}", sent[0].text);
    assert!(sent[0].text.contains("kept for you until 21 Nov 2026, 00:30 IST."), "{}", sent[0].text);
    for part in ["21 Nov 2026, 01:30 IST", "₹38.25", "until 21 Nov 2026, 00:30 IST"] {
        assert!(sent[0].html.contains(part), "{part}");
    }
    for text in [&sent[1].text, &sent[1].html] {
        assert!(!text.contains("Until") && !text.contains("Quote"), "a walk-in has no window: {text}");
    }
}

#[tokio::test]
async fn second_run_sends_nothing() {
    let world = world().await;
    CONFIRM.run(&world.run(new_id(), 1)).await.unwrap();
    CONFIRM.run(&world.run(new_id(), 2)).await.unwrap();
    assert_eq!((world.sent(), world.row().await.state.as_str()), (1, "sent"));
    assert_eq!(activity::Entity::find().all(world.app.db.read()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_temporary_refusals_are_retried() {
    let world = world().await;
    let job = new_id();
    world.script([
        SendError::Temporary("451".into()),
        SendError::NotSent("away".into()),
        SendError::Permanent("550".into()),
    ]);
    assert!(waits(RECEIPT.run(&world.run(job, 1)).await));
    assert!(waits(RECEIPT.run(&world.run(job, 2)).await));
    world.later();
    assert!(!waits(RECEIPT.run(&world.run(job, 3)).await));
    assert_eq!((world.row().await.state.as_str(), world.row().await.attempts), ("refused", 3));
    RECEIPT.run(&world.run(job, 1)).await.unwrap();
    let row = world.row().await;
    assert_eq!((row.state.as_str(), row.attempts, row.resent, row.error), ("sent", 4, false, None));
}

#[tokio::test]
async fn confirmation_in_doubt_is_resent_with_the_same_id() {
    let world = world().await;
    let job = new_id();
    world.script([unknown()]);
    assert!(waits(CONFIRM.run(&world.run(job, 1)).await));
    let first = world.row().await;
    assert_eq!((first.state.as_str(), first.resent), ("ambiguous", false));
    world.later();
    CONFIRM.run(&world.run(job, 2)).await.unwrap();
    let second = world.row().await;
    assert_eq!((second.state.as_str(), second.resent), ("sent", true));
    assert_eq!(world.outbox.lock().sent[0].message_id, first.message_id);
}

#[tokio::test]
async fn confirmation_in_doubt_twice_is_held() {
    let world = world().await;
    let job = new_id();
    world.script([unknown(), unknown()]);
    assert!(waits(CONFIRM.run(&world.run(job, 1)).await));
    world.later();
    assert!(!waits(CONFIRM.run(&world.run(job, 2)).await));
    world.later();
    assert!(!waits(CONFIRM.run(&world.run(job, 3)).await));
    assert_eq!((world.sent(), world.row().await.state.as_str()), (0, "ambiguous"));
}

#[tokio::test]
async fn receipt_in_doubt_is_held_until_requeued() {
    let world = world().await;
    let job = new_id();
    world.script([unknown()]);
    let held = RECEIPT.run(&world.run(job, 1)).await.unwrap_err();
    assert!(matches!(&held, Error::Permanent(text) if text.contains("requeue")), "{held:?}");
    world.later();
    assert!(!waits(RECEIPT.run(&world.run(job, 2)).await));
    assert!(!waits(RECEIPT.run(&world.run(new_id(), 1)).await), "another job is no requeue");
    assert_eq!((world.sent(), world.row().await.state.as_str()), (0, "ambiguous"));
    RECEIPT.run(&world.run(job, 1)).await.unwrap();
    assert_eq!((world.sent(), world.row().await.state.as_str()), (1, "sent"));
}

#[tokio::test]
async fn death_while_sending_leaves_the_mail_in_doubt() {
    let world = world().await;
    let job = new_id();
    world.script([SendError::Temporary("451".into())]);
    assert!(waits(RECEIPT.run(&world.run(job, 1)).await));
    world.sql("UPDATE email_deliveries SET state = 'sending'").await;
    assert!(!waits(RECEIPT.run(&world.run(job, 1)).await), "not even when the attempt was given back");
    assert_eq!((world.sent(), world.row().await.state.as_str()), (0, "ambiguous"));
}

#[tokio::test]
async fn one_mail_at_a_time_tests_a_server_that_is_away() {
    let world = world().await;
    world.script([SendError::NotSent("away".into()), SendError::NotSent("away".into())]);
    let run = async || CONFIRM.run(&world.run(new_id(), 1)).await;
    for _ in 0..2 {
        assert!(matches!(run().await, Err(Error::Held(why)) if why.contains("away")));
    }
    assert_eq!(world.outbox.lock().script.len(), 1, "the second one was not tried");
    world.later();
    assert!(matches!(run().await, Err(Error::Held(_))), "it tested the server");
    assert!(matches!(run().await, Err(Error::Held(_))), "its pause has not passed");
    assert_eq!(world.outbox.lock().script.len(), 0);
    world.later();
    RECEIPT.run(&world.run(new_id(), 1)).await.unwrap();
    run().await.unwrap();
    assert_eq!(world.sent(), 2);
}

#[tokio::test]
async fn a_test_that_sends_nothing_is_left_to_the_next_mail() {
    let world = world().await;
    RECEIPT.run(&world.run(new_id(), 1)).await.unwrap();
    world.script([SendError::NotSent("away".into())]);
    assert!(waits(CONFIRM.run(&world.run(new_id(), 1)).await));
    world.later();
    RECEIPT.run(&world.run(new_id(), 1)).await.unwrap();
    CONFIRM.run(&world.run(new_id(), 1)).await.unwrap();
    assert_eq!(world.sent(), 2);
}

#[tokio::test]
async fn one_rejected_mail_does_not_stop_the_others() {
    let world = world().await;
    let (receipt, rejected) = (new_id(), || SendError::Policy("554 5.7.1".into()));
    world.script([rejected()]);
    let first = RECEIPT.run(&world.run(receipt, 1)).await;
    assert!(matches!(first, Err(Error::Held(_))), "it may be about all mails: {first:?}");
    world.later();
    CONFIRM.run(&world.run(new_id(), 1)).await.unwrap();
    world.script([rejected()]);
    let second = RECEIPT.run(&world.run(receipt, 1)).await;
    assert!(matches!(second, Err(Error::Deferred(_))), "others are accepted: {second:?}");
    SendWelcome { user_id: 1 }.run(&world.run(new_id(), 1)).await.unwrap();
    assert_eq!(world.sent(), 2);
}

#[tokio::test]
async fn mail_rate_limit_works_without_redis() {
    let mut world = world().await;
    let mut config = (*world.app.config).clone();
    config.rate_limits[Action::Mail as usize] = "4/3600".parse().unwrap();
    world.app = world.app.with(|app| app.config = Arc::new(config));
    let send = async |user_id| SendWelcome { user_id }.run(&world.run(new_id(), 1)).await;
    for user_id in [1, 2, 3] {
        let text = "INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, created_at)
             SELECT $2, 'u' || $2, 'u' || $2, 'u@example.com', 'u' || $2, '', 'user', $1 WHERE $2 <> 1";
        let db = world.app.db.write();
        db.execute_raw(sql(db, text, [at(noon()), user_id.into()])).await.unwrap();
    }
    send(1).await.unwrap();
    send(2).await.unwrap();
    let held = send(3).await.unwrap_err();
    assert!(matches!(held, Error::RateLimited { retry_after } if retry_after.as_secs() > 60), "{held:?}");
    let rows = email_delivery::Entity::find().all(world.app.db.read()).await.unwrap();
    assert_eq!((world.sent(), rows.len()), (2, 2), "a mail is claimed when its turn has come");
}

#[tokio::test]
async fn no_mail_about_cancelled_bookings_or_to_deleted_users() {
    let world = world().await;
    world.sql("UPDATE reservations SET state = 'cancelled' WHERE id = 2").await;
    let done = CONFIRM.run(&world.run(new_id(), 1)).await.unwrap();
    assert_eq!(done.result["skipped"], "the booking is cancelled");
    world.sql("UPDATE users SET deleted_at = $1").await;
    let done = RECEIPT.run(&world.run(new_id(), 1)).await.unwrap();
    assert_eq!(done.result["skipped"], "the user was deleted");
    let missing = SendReceipt { reservation_id: 9 }.run(&world.run(new_id(), 1)).await;
    assert!(!waits(missing));
    assert_eq!(world.sent(), 0);
}
