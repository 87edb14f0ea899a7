//! Redis is killed, frozen, cut off or full: callers must hardly notice. Response times are compared with those of a control
//! group at the same time, whose API uses the same database and machine but a Redis of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::report::{Goal, Report};
use chrono::{DateTime, Utc};
use devstack::Mode;
use serde_json::{Value, json};

use super::{
    load::{Calls, Load},
    testbed::Testbed,
};
use crate::client::Client;

/// Clients in each group.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(200);
/// How long each phase without a fault is measured.
const BASELINE: Duration = Duration::from_secs(6);
const OUTAGE: Duration = Duration::from_secs(10);

/// By then the API must have noticed the outage, and must use Redis again after its end.
const DETECTION: Duration = Duration::from_secs(2);
const RECOVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
enum Fault {
    Killed,
    Frozen,
    CutOff,
    Full,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Killed, Self::Frozen, Self::CutOff, Self::Full];

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::CutOff => "cut off",
            Self::Full => "full",
        }
    }

    async fn begin(self, testbed: &Testbed) -> Result<()> {
        match self {
            Self::Killed => testbed.redis.kill().await,
            Self::Frozen => testbed.redis.pause(),
            Self::CutOff => testbed.redis_proxy.set(Mode::BlackHole).await,
            Self::Full => testbed.redis.configure("maxmemory", "1").await,
        }
    }

    async fn end(self, testbed: &mut Testbed) -> Result<()> {
        match self {
            Self::Killed => testbed.redis.restart().await,
            Self::Frozen => testbed.redis.resume(),
            Self::CutOff => testbed.redis_proxy.set(Mode::Pass).await,
            Self::Full => testbed.redis.configure("maxmemory", "0").await,
        }
    }
}

struct Groups {
    /// The API processes with the fault.
    addresses: [String; 2],
    load: Load,
    control: Load,
}

pub async fn run(testbed: &mut Testbed, report: &mut Report) -> Result<()> {
    let control_redis = devstack::Redis::start().await?;
    let port = control_redis.port().to_string();
    let (_one, first) = testbed.api(&[]).await?;
    let (_two, second) = testbed.api(&[]).await?;
    let (_three, third) = testbed.api(&[("REDIS_PORT", &port)]).await?;
    let _worker = testbed.worker(&[])?;
    let addresses = [first, second];
    let load = Load::start(testbed, &addresses, testbed.users(CLIENTS).await?, PAUSE);
    let control = Load::start(testbed, &[third], testbed.users(CLIENTS).await?, PAUSE);
    let mut groups = Groups { addresses, load, control };
    let started = Instant::now();
    tokio::time::sleep(DETECTION).await;
    for fault in Fault::ALL {
        inject(testbed, fault, &groups, report).await?;
    }
    groups.load.stop().await?;
    groups.control.stop().await?;
    testbed.settle(Duration::from_secs(120)).await?;
    check(testbed, &groups, started, report).await
}

/// Injects a fault and measures before, during and after it.
async fn inject(testbed: &mut Testbed, fault: Fault, groups: &Groups, report: &mut Report) -> Result<()> {
    let label = format!("{}, Redis {}", testbed.name(), fault.name());
    println!("{label}:");
    let mut session = Sessions::register(&groups.addresses[0]).await?;
    let before = Instant::now();
    tokio::time::sleep(BASELINE).await;
    session.early_session_works().await?;
    let started = Instant::now();
    fault.begin(testbed).await?;
    tokio::time::sleep(DETECTION).await;
    session.log_in_and_out().await.with_context(|| label.clone())?;
    tokio::time::sleep(OUTAGE.saturating_sub(started.elapsed())).await;
    fault.end(testbed).await?;
    let (ended, back_at) = (Instant::now(), testbed.app.clock.now());
    let back = healthy_after(&groups.addresses, ended).await?;
    let resumed = jobs_resume_after(testbed, back_at, ended).await?;
    session.stay_logged_out(ended + RECOVERY).await.with_context(|| label.clone())?;
    tokio::time::sleep((BASELINE + RECOVERY).saturating_sub(ended.elapsed())).await;

    // Includes calls that were pending when the fault began.
    let pending = started.checked_sub(Duration::from_secs(1)).unwrap_or(started);
    groups.compare("before", before, started);
    let (first, _) = groups.compare("first 2 s", pending, started + DETECTION);
    let (during, control) = groups.compare("during", started + DETECTION, ended);
    let (after, control_after) = groups.compare("after", ended + RECOVERY, Instant::now());
    check_failures(&groups.load.between(before, Instant::now()), &label, report);
    report.require(format!("{label}: first calls, max"), first.percentile(1.0), "ms", Goal::AtMost(600.0));
    let added = during.percentile(0.99) - control.percentile(0.99);
    report.require(format!("{label}: added p99 during the outage"), added, "ms", Goal::AtMost(50.0));
    report.require(format!("{label}: healthy again after"), back, "s", Goal::AtMost(RECOVERY.as_secs_f64()));
    report.require(
        format!("{label}: jobs run again after"),
        resumed,
        "s",
        Goal::AtMost(RECOVERY.as_secs_f64()),
    );
    let added = after.percentile(0.99) - control_after.percentile(0.99);
    report.require(format!("{label}: added p99 after 5 s"), added, "ms", Goal::AtMost(50.0));
    Ok(())
}

impl Groups {
    /// The calls of both groups in a period.
    fn compare(&self, when: &str, from: Instant, until: Instant) -> (Calls, Calls) {
        let [load, control] = [&self.load, &self.control].map(|load| load.between(from, until));
        println!("  {when:<12} {}", load.summary());
        println!("  {:<12} {}", "  control", control.summary());
        (load, control)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn check_failures(calls: &Calls, label: &str, report: &mut Report) {
    let failures = calls.failures();
    if !failures.is_empty() {
        println!("{label}: {failures:?}");
    }
    let count = failures.values().sum::<usize>() as f64;
    report.require(format!("{label}: failed of {} calls", calls.0.len()), count, "calls", Goal::AtMost(0.0));
}

/// Seconds since `ended` until every API reports that Redis is healthy.
async fn healthy_after(addresses: &[String], ended: Instant) -> Result<f64> {
    for address in addresses {
        let mut client = Client::new(address, String::new());
        loop {
            let (_, health) = client.get("/api/health").await.context("health")?;
            if health["redis"]["status"] == "ok" {
                break;
            }
            ensure!(ended.elapsed() < Duration::from_secs(30), "the API does not find Redis again: {health}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(ended.elapsed().as_secs_f64())
}

/// Seconds since `ended` until a job has run.
async fn jobs_resume_after(testbed: &Testbed, since: DateTime<Utc>, ended: Instant) -> Result<f64> {
    while testbed.jobs_ended_since(since).await? == 0 {
        ensure!(ended.elapsed() < Duration::from_secs(60), "no job runs any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(ended.elapsed().as_secs_f64())
}

async fn check(testbed: &Testbed, groups: &Groups, started: Instant, report: &mut Report) -> Result<()> {
    let name = testbed.name();
    check_failures(&groups.load.between(started, Instant::now()), name, report);
    testbed.check_outcome(groups.load.exports().len() + groups.control.exports().len(), report).await
}

/// A user who logs in and out during the outage.
struct Sessions {
    address: String,
    email: String,
    /// With a session from before the outage.
    early: Client,
    /// With a session that was opened during the outage.
    late: Option<Client>,
}

const PASSWORD: &str = "Correct-horse-1";

impl Sessions {
    async fn register(address: &str) -> Result<Self> {
        let name = &uuid::Uuid::new_v4().simple().to_string()[..8];
        let email = format!("{name}@example.com");
        let form = json!({ "username": name, "email": email, "password": PASSWORD });
        let (status, response) = post(&mut Client::new(address, String::new()), "register", &form).await?;
        ensure!(status == 201, "registering: status {status} {response}");
        let early = log_in(address, &email).await?;
        Ok(Self { address: address.to_owned(), email, early, late: None })
    }

    /// Also brings the session into Redis.
    async fn early_session_works(&mut self) -> Result<()> {
        expect(&mut self.early, 200, "an earlier session").await
    }

    /// Logs in, uses both sessions, and logs both out: they must be rejected at once.
    async fn log_in_and_out(&mut self) -> Result<()> {
        let mut late = log_in(&self.address, &self.email).await?;
        expect(&mut late, 200, "a new session").await?;
        expect(&mut self.early, 200, "the earlier session").await?;
        for client in [&mut self.early, &mut late] {
            let (status, response) = post(client, "logout", &json!({})).await?;
            ensure!(status == 200, "logging out: status {status} {response}");
            expect(client, 401, "a session after logout").await?;
        }
        self.late = Some(late);
        Ok(())
    }

    /// The ended sessions must not come back with Redis.
    async fn stay_logged_out(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until {
            for client in [Some(&mut self.early), self.late.as_mut()].into_iter().flatten() {
                expect(client, 401, "a session after logout, with Redis back").await?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn log_in(address: &str, email: &str) -> Result<Client> {
    let form = json!({ "email": email, "password": PASSWORD });
    let (status, response) = post(&mut Client::new(address, String::new()), "login", &form).await?;
    ensure!(status == 200, "logging in: status {status} {response}");
    Ok(Client::new(address, response["token"].as_str().context("a login without a token")?.to_owned()))
}

async fn post(client: &mut Client, what: &str, body: &Value) -> Result<(u16, Value)> {
    client
        .post(&format!("/api/auth/{what}"), body, None)
        .await
        .with_context(|| format!("{what}: no response"))
}

async fn expect(client: &mut Client, expected: u16, what: &str) -> Result<()> {
    let (status, _) = client.get("/api/auth/sessions").await.context("no response")?;
    ensure!(status == expected, "{what}: status {status} instead of {expected}");
    Ok(())
}
