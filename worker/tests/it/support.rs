//! What the tests share: jobs that do as they are told, a driver with a long history, and looks into both stores.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use devstack::MailSink;
use sea_orm::{ConnectionTrait, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::{
    Error, Result,
    jobs::{Context, Done, Job, NewJob, Queue, ledger, queue},
    platform::{
        db::{at, sql},
        entities::{email_delivery, job},
        mailer::Mailer,
    },
};
use testkit::{Driver, Engine, TestApp};
use uuid::Uuid;
use worker::registry::Registry;

/// The mail lane: eight at once.
pub(crate) const MAIL: u8 = 0;
/// The maintenance lane: one at once.
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

/// A job that notes each of its runs. The n-th does the n-th act, later ones the last.
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

    /// When its runs began.
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

/// A job that takes longer than it may.
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

/// The shipped kinds and those of the tests.
pub(crate) fn registry() -> Registry {
    Registry::default().with::<Probe<MAIL>>().with::<Probe<MAINTENANCE>>().with::<Endless>()
}

/// Writes a job into the ledger and tells nobody.
pub(crate) async fn insert(t: &TestApp, job: &NewJob) -> ledger::Enqueued {
    ledger::insert(t.app.db.write(), t.app.clock.now(), job).await.unwrap()
}

/// Writes a job into the ledger and announces it.
pub(crate) async fn enqueue(t: &TestApp, job: &impl Job) -> Uuid {
    let job = insert(t, &NewJob::of(job).unwrap()).await;
    queue::announce(&t.app.redis, &[job]).await;
    job.id
}

/// The job's row.
/// The same for a job that somebody owns, and may follow.
pub(crate) async fn enqueue_for(t: &TestApp, owner: i64, job: &impl Job) -> Uuid {
    let enqueued = insert(t, &NewJob::of(job).unwrap().owner(owner)).await;
    shared::jobs::queue::announce(&t.app.redis, &[enqueued]).await;
    enqueued.id
}

pub(crate) async fn row(t: &TestApp, id: Uuid) -> job::Model {
    ledger::find(&t.app.db, id).await.unwrap().expect("the job is in the ledger")
}

/// Waits until the job is in this state, and returns its row.
pub(crate) async fn reaches(t: &TestApp, id: Uuid, state: &str) -> job::Model {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let row = row(t, id).await;
        if row.state == state {
            return row;
        }
        assert!(Instant::now() < deadline, "not {state} within 40 s: {row:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the job's `attempt`-th run has failed and another is planned, and lets that one begin now.
pub(crate) async fn hurry(t: &TestApp, id: Uuid, attempt: i64) {
    within(Duration::from_secs(40), "a planned retry", || async {
        let row = row(t, id).await;
        row.state == "queued" && row.attempt == attempt
    })
    .await;
    execute(t, "UPDATE jobs SET run_at = created_at WHERE id = $1", [id.into()]).await;
}

pub(crate) async fn execute<const N: usize>(t: &TestApp, text: &str, values: [Value; N]) -> u64 {
    let db = t.app.db.write();
    db.execute_raw(sql(db, text, values)).await.unwrap().rows_affected()
}

/// The one number that a query `SELECT … AS n` answers.
pub(crate) async fn number(t: &TestApp, text: &str) -> i64 {
    let db = t.app.db.read();
    db.query_one_raw(sql(db, text, [])).await.unwrap().unwrap().try_get("", "n").unwrap()
}

/// The row of a mail.
pub(crate) async fn delivery(t: &TestApp, key: &str) -> email_delivery::Model {
    use sea_orm::EntityTrait;
    email_delivery::Entity::find_by_id(key).one(t.app.db.read()).await.unwrap().expect("a claimed mail")
}

/// Waits until `done` says so, and fails the test after `limit`.
pub(crate) async fn within<F: Future<Output = bool>>(
    limit: Duration,
    what: &str,
    mut done: impl FnMut() -> F,
) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(limit, waiting).await.is_ok(), "not within {limit:?}: {what}");
}

/// A driver with so many stays, all at one spot.
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

/// People without a history, by SQL; returns their ids.
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

/// Asks for an export over HTTP.
pub(crate) async fn request_export(t: &TestApp, driver: &Driver) -> Uuid {
    let answer = t.post("/export/csv/request", Some(driver), json!({})).await.expect(202);
    answer.body["task_id"].as_str().unwrap().parse().unwrap()
}

/// Where the file of an export will be.
pub(crate) fn file_of(t: &TestApp, id: Uuid) -> PathBuf {
    shared::parking::exports::file::path(&t.app.config.upload_folder, id)
}

/// Names of the files that belong to an export, finished or not.
pub(crate) fn files_of(t: &TestApp, id: Uuid) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(&t.app.config.upload_folder) else { return Vec::new() };
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&id.to_string())).collect()
}

/// SHA-256 of a file in hexadecimal.
pub(crate) fn sha256(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Settings of a process whose mails go to the sink.
pub(crate) fn mail_settings(port: u16) -> [(&'static str, String); 3] {
    [("MAIL_SERVER", "127.0.0.1".into()), ("MAIL_PORT", port.to_string()), ("MAIL_USE_TLS", "false".into())]
}

/// The same with others.
pub(crate) fn settings<'a>(
    mail: &'a [(&'static str, String)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    mail.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect()
}

/// Lets workers in this process send to the sink.
pub(crate) fn send_to(t: &mut TestApp, sink: &MailSink) {
    let mut mail = t.app.config.mail.clone();
    mail.server = Some("127.0.0.1".into());
    mail.port = sink.addr().port();
    mail.use_tls = false;
    t.app.mailer = Mailer::from_config(&mail).unwrap();
}

/// Fails the test when two of the mails are one.
pub(crate) fn assert_nobody_got_a_mail_twice(mails: &[devstack::Mail]) {
    let distinct: BTreeSet<_> = mails.iter().map(|mail| mail.message_id().unwrap()).collect();
    assert_eq!(distinct.len(), mails.len(), "Message-IDs that came, and mails");
}

/// What a job is given that runs here and not in a worker.
pub(crate) fn context(t: &TestApp) -> Context {
    Context {
        app: t.app.clone(),
        id: Uuid::now_v7(),
        owner_id: None,
        attempt: 1,
        progress: shared::jobs::context::Progress::default(),
    }
}

/// Drivers by SQL, all of one moment, who never booked.
pub(crate) async fn crowd(t: &TestApp, count: i64, since: chrono::DateTime<chrono::Utc>) {
    let text = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})
         INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
         SELECT 'c' || n, 'c' || n, 'c' || n || '@example.com', 'c' || n || '@example.com', '', 'user', $1 FROM c"
    );
    assert_eq!(execute(t, &text, [at(since)]).await, count.unsigned_abs());
}

/// A stay, or what became of it.
pub(crate) struct Booked<'a> {
    pub(crate) user: i64,
    pub(crate) lot: i64,
    pub(crate) state: &'a str,
    /// When it was booked and began.
    pub(crate) began: chrono::DateTime<chrono::Utc>,
    /// When it ended, or will.
    pub(crate) ended: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) cost: i64,
}

/// Writes it down, at a spot of the lot where nobody is.
pub(crate) async fn book(t: &TestApp, booked: Booked<'_>) {
    let Booked { user, lot, state, began, ended, cost } = booked;
    let left = ended.filter(|_| state == "completed");
    let arrived = Some(began).filter(|_| ["completed", "active"].contains(&state));
    let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at,
            hourly_rate_minor, cost_minor, created_at)
         SELECT $1, $2, MIN(s.id), $3, $4, $5, $6, $7, 2550, $8, $4 FROM spots s WHERE s.lot_id = $2 AND NOT EXISTS
            (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active'))";
    let ends = ended.filter(|_| state != "completed");
    let values =
        [user.into(), lot.into(), state.into(), at(began), at(ends), at(arrived), at(left), cost.into()];
    assert_eq!(execute(t, text, values).await, 1);
}
