//! How soon progress reaches the followers of a task, whether each of them sees its end, and how soon a cancelled job
//! stops.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bench::{
    report::{Goal, Report, percentile, sorted},
    testbed::Testbed,
};
use devstack::Process;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sea_orm::ConnectionTrait;
use shared::{
    app::App,
    jobs::{self, Job, NewJob, ledger, queue, status},
    parking::accounts::session,
    platform::db::{Engine, at, sql},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    kinds::{Endless, Steps, micros},
    stream::Events,
};

#[derive(clap::Args)]
pub struct Options {
    /// Simultaneous followers.
    #[arg(long, default_value_t = 1_000)]
    followers: usize,
    /// Tasks whose follower keeps reconnecting.
    #[arg(long, default_value_t = 200)]
    reconnects: usize,
    /// Running jobs to cancel.
    #[arg(long, default_value_t = 200)]
    cancels: usize,
}

/// The most streams that the API allows a user.
const STREAMS_PER_USER: usize = 20;

/// How long a reconnecting follower may take to see the end of its task.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct User {
    id: i64,
    token: String,
}

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let settings = [("WORKER_MAIL", "64".to_owned())];
    let _worker = testbed.spawn(&std::env::current_exe()?, &["worker"], &settings)?;
    let (api, address) = testbed.api().await?;
    let users = users(&testbed.app, options.followers.div_ceil(STREAMS_PER_USER)).await?;

    follow(&testbed, (&api, &address), &users[..1], report).await?;
    follow(&testbed, (&api, &address), &users, report).await?;
    let (_second, second) = testbed.api().await?;
    reconnect(&testbed, [&address, &second], &users, options.reconnects, report).await?;
    cancel(&testbed, &users[0], options.cancels, report).await?;
    testbed.check_integrity().await
}

async fn users(app: &App, count: usize) -> Result<Vec<User>> {
    let (tx, now) = (app.db.begin().await?, app.clock.now());
    let mut users = Vec::with_capacity(count);
    for number in 0..count {
        let text =
            "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
             VALUES ($1, $1, $1, $1, '', 'user', $2) RETURNING id";
        let values = [format!("user{number}@example.com").into(), at(now)];
        let row = tx.query_one_raw(sql(&tx, text, values)).await?.context("no id")?;
        let id = row.try_get("", "id")?;
        users.push(User { id, token: session::open(app, &tx, id, None).await? });
    }
    tx.commit().await?;
    Ok(users)
}

/// Not announced, so that it starts a second or two later.
async fn insert(app: &App, user: &User, job: &impl Job) -> Result<ledger::Enqueued> {
    Ok(ledger::insert(app.db.write(), app.clock.now(), &NewJob::of(job)?.owner(user.id)).await?)
}

/// One job per user, each with as many followers as are allowed, until all have ended.
async fn follow(
    testbed: &Testbed,
    (api, address): (&Process, &str),
    users: &[User],
    report: &mut Report,
) -> Result<()> {
    let idle = api.memory()?.rss_bytes;
    let mut followers = JoinSet::new();
    for user in users {
        let id = insert(&testbed.app, user, &Steps { steps: 30, pause_millis: 700 }).await?.id;
        for _ in 0..STREAMS_PER_USER {
            followers.spawn(ages(Events::open(address, id, &user.token, None).await?));
        }
    }
    let count = followers.len();
    // Half-way through the jobs.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (subscriptions, full) = (subscriptions(&testbed.app).await?, api.memory()?.rss_bytes);
    let mut ages = Vec::new();
    while let Some(done) = followers.join_next().await {
        ages.extend(done??);
    }
    let label = |what: &str| format!("{}: {count} followers, {what}", testbed.name());
    let ages = sorted(ages);
    let (p50, p99) = (percentile(&ages, 0.5), percentile(&ages, 0.99));
    report.add(label("age of an event, p50"), p50, "ms", format!("{} events", ages.len()));
    report.check(label("age of an event, p99"), p99, "ms", Goal::AtMost(100.0));
    #[expect(clippy::cast_precision_loss, reason = "a count and a size")]
    let (subscriptions, each) =
        (subscriptions as f64, full.saturating_sub(idle) as f64 / count as f64 / 1024.0);
    report.check(label("subscriptions"), subscriptions, "", Goal::AtMost(1.0));
    report.add(label("API memory per follower"), each, "KiB", "");
    Ok(())
}

/// How old each event was when it arrived, in milliseconds.
async fn ages(mut events: Events) -> Result<Vec<f64>> {
    let mut ages = Vec::new();
    while let Some(event) = events.next().await? {
        if event.is_final() {
            return Ok(ages);
        }
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        ages.extend(event.reported_at.map(|reported_at| (micros() - reported_at) as f64 / 1000.0));
    }
    bail!("a stream ended before its job")
}

/// Redis subscriptions of all API processes together.
async fn subscriptions(app: &App) -> Result<i64> {
    let mut count = redis::cmd("PUBSUB");
    count.arg("NUMSUB").arg(app.redis.keys().status_channel());
    let (_, count): (String, i64) = count.query_async(&mut app.redis.queue.connection()?).await?;
    Ok(count)
}

/// What a reconnecting follower saw of its task.
#[derive(Default)]
struct Followed {
    connections: usize,
    backwards: usize,
    saw_the_end: bool,
}

/// Each task has one follower, whose connection breaks often and who reconnects to the other API process.
async fn reconnect(
    testbed: &Testbed,
    addresses: [&str; 2],
    users: &[User],
    tasks: usize,
    report: &mut Report,
) -> Result<()> {
    let mut followers = JoinSet::new();
    for number in 0..tasks {
        let user = users[number % users.len()].clone();
        let id = insert(&testbed.app, &user, &Steps { steps: 20, pause_millis: 100 }).await?.id;
        let addresses = addresses.map(ToOwned::to_owned);
        followers.spawn(async move { follow_reconnecting(id, &user, &addresses, number as u64).await });
    }
    let mut all = Vec::new();
    while let Some(done) = followers.join_next().await {
        all.push(done?);
    }
    let connections = all.iter().map(|followed| followed.connections).sum::<usize>();
    let backwards = all.iter().map(|followed| followed.backwards).sum::<usize>();
    let missed = all.iter().filter(|followed| !followed.saw_the_end).count();
    let label = |what: &str| format!("{}: {tasks} tasks, {connections} connections, {what}", testbed.name());
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let (missed, backwards) = (missed as f64, backwards as f64);
    report.check(label("ends not seen"), missed, "", Goal::AtMost(0.0));
    report.require(label("steps back"), backwards, "", Goal::AtMost(0.0));
    Ok(())
}

async fn follow_reconnecting(id: Uuid, user: &User, addresses: &[String; 2], seed: u64) -> Followed {
    let (mut followed, mut last) = (Followed::default(), None);
    let mut rng = StdRng::seed_from_u64(seed);
    let following = async {
        while !followed.saw_the_end {
            followed.connections += 1;
            let lifetime = Duration::from_millis(rng.random_range(20..300));
            let connection = async {
                let address = &addresses[followed.connections % 2];
                let mut events = Events::open(address, id, &user.token, last).await?;
                while let Some(event) = events.next().await? {
                    followed.backwards += usize::from(last.is_some_and(|last| event.version <= last));
                    last = Some(event.version);
                    followed.saw_the_end |= event.is_final();
                }
                anyhow::Ok(())
            };
            // An error is one more reason to reconnect.
            let _ = tokio::time::timeout(lifetime, connection).await;
        }
    };
    let _ = tokio::time::timeout(FOLLOW_TIMEOUT, following).await;
    followed
}

/// Cancels running jobs, twenty at a time.
async fn cancel(testbed: &Testbed, user: &User, jobs: usize, report: &mut Report) -> Result<()> {
    let app = &testbed.app;
    let mut times = Vec::new();
    while times.len() < jobs {
        let mut batch = Vec::new();
        for _ in 0..20 {
            let note = testbed.path(&Uuid::new_v4().to_string());
            let job = insert(app, user, &Endless { note: note.clone() }).await?;
            queue::announce(&app.redis, &[job]).await;
            batch.push((job.id, note));
        }
        for (id, _) in &batch {
            wait_until(app, *id, |status| status.current == 1).await?;
        }
        for (id, note) in batch {
            let cancelled = micros();
            ensure!(jobs::cancel(app, id).await?, "a running job could not be cancelled");
            wait_until(app, id, |status| status.state == shared::jobs::JobState::Cancelled).await?;
            let stopped: i64 =
                std::fs::read_to_string(note).context("a cancelled job has not stopped")?.parse()?;
            #[expect(clippy::cast_precision_loss, reason = "a duration")]
            times.push((stopped - cancelled) as f64 / 1000.0);
        }
    }
    let (label, times) = (format!("{}: cancel to stop", testbed.name()), sorted(times));
    let (p50, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
    report.add(format!("{label}, p50"), p50, "ms", format!("{} running jobs", times.len()));
    report.check(format!("{label}, p99"), p99, "ms", Goal::AtMost(250.0));
    Ok(())
}

async fn wait_until(app: &App, id: Uuid, condition: impl Fn(&status::Status) -> bool) -> Result<()> {
    for _ in 0..15_000 {
        if status::find(app, id).await?.is_some_and(|status| condition(&status)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("job {id} did not reach the expected state")
}
