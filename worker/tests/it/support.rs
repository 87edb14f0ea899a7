//! Shared helpers: configurable jobs, a driver with a long history, and access to both stores.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use devstack::MailSink;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    Error, Result,
    jobs::{
        Context, Done, Job, JobState, NewJob, Progress, Queue,
        ledger::{self, row::Model},
        queue,
    },
    platform::{
        db::{at, sql},
        entities::{email_delivery, export::Format},
        mailer::Mailer,
    },
};
use testkit::{Driver, Engine, TestApp};
pub(crate) use testkit::{execute, number, within};
use uuid::Uuid;
use worker::registry::Registry;

/// The index of the mail queue, which runs eight jobs at once.
pub(crate) const MAIL: u8 = 0;
/// The index of the maintenance queue, which runs one job at a time.
pub(crate) const MAINTENANCE: u8 = 2;

/// What a run of a [`Probe`] does.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Act {
    Succeed,
    SleepMillis(u64),
    FailForNow,
    FailForGood,
    Panic,
}

/// A job that records its runs. The n-th run does the n-th act, and later runs the last one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Probe<const LANE: u8> {
    tag: Uuid,
    acts: Vec<Act>,
}

static RUNS: LazyLock<Mutex<HashMap<Uuid, Vec<Instant>>>> = LazyLock::new(Mutex::default);

impl<const LANE: u8> Probe<LANE> {
    pub(crate) fn new(acts: &[Act]) -> Self {
        Self { tag: Uuid::new_v4(), acts: acts.to_vec() }
    }

    /// When each run began.
    pub(crate) fn runs(&self) -> Vec<Instant> {
        RUNS.lock().unwrap().get(&self.tag).cloned().unwrap_or_default()
    }
}

impl<const LANE: u8> Job for Probe<LANE> {
    const NAME: &'static str = if LANE == MAIL { "probe-mail" } else { "probe-maintenance" };
    const QUEUE: Queue = if LANE == MAIL { Queue::Mail } else { Queue::Maintenance };
    const MAX_ATTEMPTS: i64 = 3;

    async fn run(&self, _: &Context) -> Result<Done> {
        let nth = {
            let mut all = RUNS.lock().unwrap();
            let runs = all.entry(self.tag).or_default();
            runs.push(Instant::now());
            runs.len()
        };
        match self.acts[nth.min(self.acts.len()) - 1] {
            Act::Succeed => {}
            Act::SleepMillis(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Act::FailForNow => return Err(Error::Unavailable(std::io::Error::other("not today").into())),
            Act::FailForGood => return Err(Error::Permanent("never".into())),
            Act::Panic => panic!("on purpose"),
        }
        Ok(Done::with(json!({ "run": nth })))
    }
}

/// A job that exceeds its timeout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endless {}

impl Job for Endless {
    const NAME: &'static str = "endless";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_millis(300);
    const MAX_ATTEMPTS: i64 = 1;

    async fn run(&self, _: &Context) -> Result<Done> {
        std::future::pending().await
    }
}

/// The registry of the product, plus the jobs of the tests.
pub(crate) fn registry() -> Registry {
    Registry::default().with::<Probe<MAIL>>().with::<Probe<MAINTENANCE>>().with::<Endless>()
}

/// Writes a job into the ledger without announcing it.
pub(crate) async fn insert(t: &TestApp, job: &NewJob) -> ledger::Enqueued {
    ledger::insert(t.app.db.write(), t.app.clock.now(), job).await.unwrap()
}

/// Writes a job into the ledger and announces it.
pub(crate) async fn enqueue(t: &TestApp, job: &impl Job) -> Uuid {
    let job = insert(t, &NewJob::of(job).unwrap()).await;
    queue::announce(&t.app.redis, &[job]).await;
    job.id
}

/// Like [`enqueue`], for a job with an owner, who may follow it.
pub(crate) async fn enqueue_for(t: &TestApp, owner: i64, job: &impl Job) -> Uuid {
    let enqueued = insert(t, &NewJob::of(job).unwrap().owner(owner)).await;
    shared::jobs::queue::announce(&t.app.redis, &[enqueued]).await;
    enqueued.id
}

pub(crate) async fn row(t: &TestApp, id: Uuid) -> Model {
    ledger::find(&t.app.db, id).await.unwrap().expect("the job is in the ledger")
}

/// Waits until the job is in this state, and returns its row.
pub(crate) async fn reaches(t: &TestApp, id: Uuid, state: &str) -> Model {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let row = row(t, id).await;
        if row.state.as_str() == state {
            return row;
        }
        assert!(Instant::now() < deadline, "not {state} within 40 s: {row:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the `attempt`-th run of the job has failed, and makes the planned retry due now.
pub(crate) async fn make_retry_due(t: &TestApp, id: Uuid, attempt: i64) {
    within(Duration::from_secs(40), "a retry is planned", || async {
        let row = row(t, id).await;
        row.state == JobState::Queued && row.attempt == attempt
    })
    .await;
    execute(t, "UPDATE jobs SET run_at = created_at WHERE id = $1", [id.into()]).await;
}

/// The keys in the Redis of the queues that match a pattern.
pub(crate) async fn keys(t: &TestApp, pattern: &str) -> Vec<String> {
    let mut redis = t.app.redis.queue.connection().unwrap();
    let found = redis::AsyncCommands::scan_match::<_, String>(&mut redis, pattern).await.unwrap();
    futures::StreamExt::collect::<Vec<_>>(found).await.into_iter().map(|key| key.unwrap()).collect()
}

/// The delivery record of a mail.
pub(crate) async fn delivery(t: &TestApp, key: &str) -> email_delivery::Model {
    use sea_orm::EntityTrait;
    email_delivery::Entity::find_by_id(key).one(t.app.db.read()).await.unwrap().expect("a claimed mail")
}

/// A driver with `stays` completed stays, all on one spot.
pub(crate) async fn driver_with(t: &TestApp, stays: u32) -> Driver {
    let (driver, lot) = (t.driver("Courier").await, t.lot(1).await);
    let time = |seconds: &str| match t.engine {
        Engine::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%S+00:00', {seconds}, 'unixepoch')"),
        Engine::Postgres => format!("to_timestamp({seconds})"),
    };
    let (came, left) = (time("1700000000 + n * 60"), time("1700003600 + n * 60"));
    let text = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {stays})
         INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at,
            hourly_rate_minor, cost_minor, transaction_id, payment_method, created_at)
         SELECT {}, {lot}, (SELECT MIN(id) FROM spots WHERE lot_id = {lot}), 'completed', {came}, {came}, {left},
            2550, 2550 * (1 + n % 7), 'TXN-' || n, 'UPI', {left} FROM c",
        driver.id
    );
    assert_eq!(execute(t, &text, []).await, u64::from(stays));
    driver
}

/// Inserts users without a history; returns their ids.
pub(crate) async fn people(t: &TestApp, count: i64) -> Vec<i64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let name = format!("p{}", Uuid::new_v4().simple());
        let db = t.app.db.write();
        let text =
            "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
                    VALUES ($1, $1, $2, $2, '', 'user', $3) RETURNING id";
        let values = [name.clone().into(), format!("{name}@example.com").into(), at(t.app.clock.now())];
        let row = db.query_one_raw(sql(db, text, values)).await.unwrap().unwrap();
        ids.push(row.try_get("", "id").unwrap());
    }
    ids
}

/// Requests an export over HTTP.
pub(crate) async fn request_export(t: &TestApp, driver: &Driver) -> Uuid {
    request_export_with(t, driver, json!({})).await
}

/// Requests an export with options.
pub(crate) async fn request_export_with(t: &TestApp, driver: &Driver, options: Value) -> Uuid {
    let answer = t.post("/export/csv/request", Some(driver), options).await.expect(202);
    answer.body["task_id"].as_str().unwrap().parse().unwrap()
}

/// The path of the finished CSV file of an export.
pub(crate) fn file_of(t: &TestApp, id: Uuid) -> PathBuf {
    shared::parking::exports::file::path(&t.app.config.upload_folder, id, Format::Csv)
}

/// The names of the files of an export, finished or partial.
pub(crate) fn files_of(t: &TestApp, id: Uuid) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(&t.app.config.upload_folder) else { return Vec::new() };
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&id.to_string())).collect()
}

/// SHA-256 of a file in hexadecimal.
pub(crate) fn sha256(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Settings for processes that send their mails to a sink on this port.
pub(crate) fn mail_settings(port: u16) -> [(&'static str, String); 3] {
    [("MAIL_SERVER", "127.0.0.1".into()), ("MAIL_PORT", port.to_string()), ("MAIL_USE_TLS", "false".into())]
}

/// The mail settings, and others.
pub(crate) fn settings<'a>(
    mail: &'a [(&'static str, String)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    mail.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect()
}

/// Makes workers in this process send their mails to the sink.
pub(crate) fn send_to(t: &mut TestApp, sink: &MailSink) {
    let mut mail = t.app.config.mail.clone();
    mail.server = Some("127.0.0.1".into());
    mail.port = sink.addr().port();
    mail.use_tls = false;
    t.app = t.app.with(|app| app.mailer = Mailer::from_config(&mail).unwrap());
}

/// Fails if two mails have the same Message-ID.
pub(crate) fn assert_no_duplicate_mails(mails: &[devstack::Mail]) {
    let distinct: BTreeSet<_> = mails.iter().map(|mail| mail.message_id().unwrap()).collect();
    assert_eq!(distinct.len(), mails.len(), "distinct Message-IDs and mails");
}

/// The context for running a job directly, without a worker.
pub(crate) fn context(t: &TestApp) -> Context {
    Context {
        app: t.app.clone(),
        id: Uuid::now_v7(),
        owner_id: None,
        attempt: 1,
        progress: Progress::default(),
    }
}

/// Inserts drivers who registered at the same moment and never booked.
pub(crate) async fn insert_drivers(t: &TestApp, count: i64, since: chrono::DateTime<chrono::Utc>) {
    let text = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})
         INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
         SELECT 'c' || n, 'c' || n, 'c' || n || '@example.com', 'c' || n || '@example.com', '', 'user', $1 FROM c"
    );
    assert_eq!(execute(t, &text, [at(since)]).await, count.unsigned_abs());
}

/// A reservation to be inserted, in any state.
pub(crate) struct Booked<'a> {
    pub(crate) user: i64,
    pub(crate) lot: i64,
    pub(crate) state: &'a str,
    /// When it was booked and the stay began.
    pub(crate) began: chrono::DateTime<chrono::Utc>,
    /// When the stay ended or will end.
    pub(crate) ended: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) cost: i64,
}

/// Inserts the reservation on a free spot of the lot.
pub(crate) async fn book(t: &TestApp, booked: Booked<'_>) {
    let Booked { user, lot, state, began, ended, cost } = booked;
    let left = ended.filter(|_| state == "completed");
    let arrived = Some(began).filter(|_| ["completed", "active"].contains(&state));
    let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at,
            hourly_rate_minor, cost_minor, payment_method, created_at)
         SELECT $1, $2, MIN(s.id), $3, $4, $5, $6, $7, 2550, $8, $9, $4 FROM spots s WHERE s.lot_id = $2 AND NOT EXISTS
            (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active'))";
    let ends = ended.filter(|_| state != "completed");
    let paid_by = left.map(|_| "Cash".to_owned());
    let values = [
        user.into(),
        lot.into(),
        state.into(),
        at(began),
        at(ends),
        at(arrived),
        at(left),
        cost.into(),
        paid_by.into(),
    ];
    assert_eq!(execute(t, text, values).await, 1);
}
