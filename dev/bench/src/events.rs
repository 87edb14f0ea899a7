//! How soon progress reaches those who follow it, whether every end does, and how soon a cancelled job stops.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use devstack::Process;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    jobs::{self, Context, Done, Job, NewJob, Queue, ledger, queue, status},
    parking::accounts::session,
    platform::db::{Engine, at, sql},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    jobs::micros,
    report::{Goal, Report, percentile, sorted},
    stage::Stage,
    stream::Events,
};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Followers at once.
    #[arg(long, default_value_t = 1_000)]
    followers: usize,
    /// Tasks whose follower comes and goes.
    #[arg(long, default_value_t = 200)]
    reconnects: usize,
    /// Running jobs that are cancelled.
    #[arg(long, default_value_t = 200)]
    cancels: usize,
}

/// As many as a user may have.
const OF_A_USER: usize = 20;

/// Sets its progress now and then. `total` is when, in microseconds since 1970, so that who sees it knows how old it is.
#[derive(Serialize, Deserialize)]
pub struct Steps {
    steps: i64,
    pause_millis: u64,
}

impl Job for Steps {
    const NAME: &'static str = "steps";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        for step in 1..=self.steps {
            // Not in step with the others.
            let pause = rand::rng().random_range(self.pause_millis / 2..=self.pause_millis * 3 / 2);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            context.progress.set(step, micros());
        }
        Ok(Done::default())
    }
}

/// Goes on until it is stopped, and then writes down when that was.
#[derive(Serialize, Deserialize)]
pub struct Holds {
    note: PathBuf,
}

struct HalfMade<'a>(&'a Path);

impl Drop for HalfMade<'_> {
    fn drop(&mut self) {
        // Nobody reads half a note; without one the benchmark fails.
        let whole = self.0.with_extension("whole");
        let _ = std::fs::write(self.0, micros().to_string()).and_then(|()| std::fs::rename(self.0, whole));
    }
}

impl Job for Holds {
    const NAME: &'static str = "holds";
    const QUEUE: Queue = Queue::Mail;

    async fn run(&self, context: &Context) -> shared::Result<Done> {
        let _half_made = HalfMade(&self.note);
        context.progress.set(1, 2);
        std::future::pending().await
    }
}

/// Takes all figures on one database.
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let stage = Stage::set(engine).await?;
    let settings = [("WORKER_MAIL", "64".to_owned())];
    let _worker = stage.spawn(&std::env::current_exe()?, &["worker"], &settings)?;
    let (api, address) = stage.api().await?;
    let users = users(&stage.app, options.followers.div_ceil(OF_A_USER)).await?;

    follow(&stage, (&api, &address), &users[..1], report).await?;
    follow(&stage, (&api, &address), &users, report).await?;
    let (_other, second) = stage.api().await?;
    come_and_go(&stage, [&address, &second], &users, options.reconnects, report).await?;
    cancel(&stage, &users[0], options.cancels, report).await?;
    stage.check().await
}

struct User {
    id: i64,
    token: String,
}

async fn users(app: &App, count: usize) -> Result<Vec<User>> {
    let (tx, now) = (app.db.begin().await?, app.clock.now());
    let mut users = Vec::with_capacity(count);
    for nth in 0..count {
        let text =
            "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
             VALUES ($1, $1, $1, $1, '', 'user', $2) RETURNING id";
        let values = [format!("user{nth}@example.com").into(), at(now)];
        let row = tx.query_one_raw(sql(&tx, text, values)).await?.context("an id")?;
        let id = row.try_get("", "id")?;
        users.push(User { id, token: session::open(app, &tx, id, None).await? });
    }
    tx.commit().await?;
    Ok(users)
}

/// Told to nobody, so that it begins a second or two later.
async fn insert(app: &App, user: &User, job: &impl Job) -> Result<jobs::Enqueued> {
    Ok(ledger::insert(app.db.write(), app.clock.now(), &NewJob::of(job)?.owner(user.id)).await?)
}

/// One job for each user, each with as many followers as may be, until all have ended.
async fn follow(
    stage: &Stage,
    (api, address): (&Process, &str),
    users: &[User],
    report: &mut Report,
) -> Result<()> {
    let idle = api.memory()?.rss_bytes;
    let mut followers = JoinSet::new();
    for user in users {
        let id = insert(&stage.app, user, &Steps { steps: 30, pause_millis: 700 }).await?.id;
        for _ in 0..OF_A_USER {
            let mut events = Events::open(address, id, &user.token, None).await?;
            followers.spawn(async move {
                let mut ages = Vec::new();
                while let Some(event) = events.next().await? {
                    if event.is_end() {
                        return Ok(ages);
                    }
                    #[expect(clippy::cast_precision_loss, reason = "a figure")]
                    ages.extend(event.set.map(|set| (micros() - set) as f64 / 1000.0));
                }
                bail!("a stream ended before its job")
            });
        }
    }
    let count = followers.len();
    // In the middle.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (subscriptions, full) = (subscriptions(&stage.app).await?, api.memory()?.rss_bytes);
    let mut ages = Vec::new();
    while let Some(done) = followers.join_next().await {
        ages.extend(done??);
    }
    let (name, ages) = (format!("{}: {count} followers", stage.name()), sorted(ages));
    report.add(
        format!("{name}, progress, p50"),
        percentile(&ages, 0.5),
        "ms",
        format!("{} events", ages.len()),
    );
    report.check(format!("{name}, progress, p99"), percentile(&ages, 0.99), "ms", Goal::AtMost(100.0));
    #[expect(clippy::cast_precision_loss, reason = "figures")]
    {
        report.check(format!("{name}, subscriptions"), subscriptions as f64, "", Goal::AtMost(1.0));
        let each = full.saturating_sub(idle) as f64 / count as f64 / 1024.0;
        report.add(format!("{name}, memory of the API for each"), each, "KiB", "");
    }
    Ok(())
}

async fn subscriptions(app: &App) -> Result<i64> {
    let mut count = redis::cmd("PUBSUB");
    count.arg("NUMSUB").arg(app.redis.keys().status_channel());
    let (_, count): (String, i64) = count.query_async(&mut app.redis.queue.connection()?).await?;
    Ok(count)
}

/// What came of following by somebody who comes and goes.
#[derive(Default)]
struct Visits {
    turns: usize,
    backwards: usize,
    saw_the_end: bool,
}

/// Each task has one follower, whose connection breaks again and again, and who comes back to the other API.
async fn come_and_go(
    stage: &Stage,
    addresses: [&str; 2],
    users: &[User],
    tasks: usize,
    report: &mut Report,
) -> Result<()> {
    let mut followers = JoinSet::new();
    for nth in 0..tasks {
        let user = &users[nth % users.len()];
        let id = insert(&stage.app, user, &Steps { steps: 20, pause_millis: 100 }).await?.id;
        let user = User { id: user.id, token: user.token.clone() };
        let addresses = addresses.map(ToOwned::to_owned);
        followers.spawn(async move { visit(id, &user, &addresses, nth as u64).await });
    }
    let mut all = Vec::new();
    while let Some(done) = followers.join_next().await {
        all.push(done?);
    }
    let (turns, backwards) =
        (all.iter().map(|one| one.turns).sum::<usize>(), all.iter().map(|one| one.backwards).sum::<usize>());
    let lost = all.iter().filter(|one| !one.saw_the_end).count();
    let name = format!("{}: {tasks} tasks in {turns} visits", stage.name());
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    {
        report.check(format!("{name}, ends not seen"), lost as f64, "", Goal::AtMost(0.0));
        report.check(format!("{name}, steps backwards"), backwards as f64, "", Goal::AtMost(0.0));
    }
    Ok(())
}

async fn visit(id: Uuid, user: &User, addresses: &[String; 2], seed: u64) -> Visits {
    let (mut visits, mut seen) = (Visits::default(), None);
    let mut chance = StdRng::seed_from_u64(seed);
    let whole = async {
        while !visits.saw_the_end {
            visits.turns += 1;
            let patience = Duration::from_millis(chance.random_range(20..300));
            let stay = async {
                let mut events = Events::open(&addresses[visits.turns % 2], id, &user.token, seen).await?;
                while let Some(event) = events.next().await? {
                    visits.backwards += usize::from(seen.is_some_and(|seen| event.version <= seen));
                    seen = Some(event.version);
                    visits.saw_the_end |= event.is_end();
                }
                anyhow::Ok(())
            };
            // Whatever goes wrong, somebody comes back.
            let _ = tokio::time::timeout(patience, stay).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(60), whole).await;
    visits
}

/// Jobs that run are cancelled, twenty at a time.
async fn cancel(stage: &Stage, user: &User, jobs: usize, report: &mut Report) -> Result<()> {
    let app = &stage.app;
    let mut took = Vec::new();
    while took.len() < jobs {
        let mut batch = Vec::new();
        for _ in 0..20 {
            let note = stage.path(&Uuid::new_v4().to_string());
            let job = insert(app, user, &Holds { note: note.clone() }).await?;
            queue::announce(&app.redis, &[job]).await;
            batch.push((job.id, note.with_extension("whole")));
        }
        for (id, _) in &batch {
            reaches(app, *id, |status| status.current == 1).await?;
        }
        for (id, note) in batch {
            let asked = micros();
            ensure!(jobs::cancel(app, id).await?, "it runs");
            reaches(app, id, |status| status.state == jobs::JobState::Cancelled).await?;
            let stopped: i64 =
                std::fs::read_to_string(note).context("what it held is still there")?.parse()?;
            #[expect(clippy::cast_precision_loss, reason = "a figure")]
            took.push((stopped - asked) as f64 / 1000.0);
        }
    }
    let (name, took) = (format!("{}: cancel to stopped", stage.name()), sorted(took));
    report.add(format!("{name}, p50"), percentile(&took, 0.5), "ms", format!("{} running jobs", took.len()));
    report.check(format!("{name}, p99"), percentile(&took, 0.99), "ms", Goal::AtMost(250.0));
    Ok(())
}

async fn reaches(app: &App, id: Uuid, is_there: impl Fn(&status::Status) -> bool) -> Result<()> {
    for _ in 0..5_000 {
        if status::find(app, id).await?.is_some_and(|status| is_there(&status)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("the job does not get there")
}
