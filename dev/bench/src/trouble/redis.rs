//! Redis is killed, frozen, cut off or full: callers must hardly notice. What they wait for without it, and when it is back, is
//! compared with what others wait for at the same time, whose API is on the same database and has a Redis of its own: the
//! machine is the same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use devstack::Mode;
use serde_json::{Value, json};

use super::{
    calls::{Load, Seen},
    ground::Ground,
};
use crate::{
    people::Client,
    report::{Goal, Report},
};

const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(200);
const CALM: Duration = Duration::from_secs(6);
const AWAY: Duration = Duration::from_secs(10);

/// By then everybody does without, and when it is back, by then everybody uses it again.
const NOTICED: Duration = Duration::from_secs(2);
const BACK: Duration = Duration::from_secs(5);

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

    async fn begin(self, ground: &Ground) -> Result<()> {
        match self {
            Self::Killed => ground.redis.kill().await,
            Self::Frozen => ground.redis.pause(),
            Self::CutOff => ground.redis_proxy.set(Mode::BlackHole).await,
            Self::Full => ground.redis.configure("maxmemory", "1").await,
        }
    }

    async fn end(self, ground: &mut Ground) -> Result<()> {
        match self {
            Self::Killed => ground.redis.restart().await,
            Self::Frozen => ground.redis.resume(),
            Self::CutOff => ground.redis_proxy.set(Mode::Pass).await,
            Self::Full => ground.redis.configure("maxmemory", "0").await,
        }
    }
}

/// Whom it happens to, and who goes on beside them.
struct Callers {
    addresses: [String; 2],
    load: Load,
    others: Load,
}

/// Lets all of it happen and takes the figures.
pub async fn run(ground: &mut Ground, report: &mut Report) -> Result<()> {
    let spared = devstack::Redis::start().await?;
    let port = spared.port().to_string();
    let (_one, first) = ground.api(&[]).await?;
    let (_two, second) = ground.api(&[]).await?;
    let (_other, third) = ground.api(&[("REDIS_PORT", &port)]).await?;
    let _worker = ground.worker(&[])?;
    let addresses = [first, second];
    let load = Load::start(ground, &addresses, ground.people(CALLERS).await?, PAUSE);
    let others = Load::start(ground, &[third], ground.people(CALLERS).await?, PAUSE);
    let mut callers = Callers { addresses, load, others };
    let begun = Instant::now();
    tokio::time::sleep(NOTICED).await;
    for fault in Fault::ALL {
        suffer(ground, fault, &callers, report).await?;
    }
    callers.load.stop().await?;
    callers.others.stop().await?;
    ground.settle(Duration::from_secs(120)).await?;
    judge(ground, &callers, begun, report).await
}

/// One fault, from the calm before to the calm afterwards.
async fn suffer(ground: &mut Ground, fault: Fault, callers: &Callers, report: &mut Report) -> Result<()> {
    let label = format!("{}, Redis {}", ground.name(), fault.name());
    println!("{label}:");
    let mut visitor = Visitor::register(&callers.addresses[0]).await?;
    let calm = Instant::now();
    tokio::time::sleep(CALM).await;
    visitor.is_known().await?;
    let begun = Instant::now();
    fault.begin(ground).await?;
    tokio::time::sleep(NOTICED).await;
    visitor.come_and_go().await.with_context(|| label.clone())?;
    tokio::time::sleep(AWAY.saturating_sub(begun.elapsed())).await;
    fault.end(ground).await?;
    let (ended, back_at) = (Instant::now(), ground.app.clock.now());
    let back = health_is_good(&callers.addresses, ended).await?;
    let resumed = jobs_go_on(ground, back_at, ended).await?;
    visitor.stays_away(ended + BACK).await.with_context(|| label.clone())?;
    tokio::time::sleep((CALM + BACK).saturating_sub(ended.elapsed())).await;

    // Calls that were under way when it began are among the first.
    let under_way = begun.checked_sub(Duration::from_secs(1)).unwrap_or(begun);
    callers.compare("in the calm", calm, begun);
    let (first, _) = callers.compare("at first", under_way, begun + NOTICED);
    let (without, beside) = callers.compare("without", begun + NOTICED, ended);
    let (after, beside_after) = callers.compare("after", ended + BACK, Instant::now());
    fails(&callers.load.between(calm, Instant::now()), &label, report);
    report.must(format!("{label}: first calls, longest"), first.percentile(1.0), "ms", Goal::AtMost(600.0));
    let added = without.percentile(0.99) - beside.percentile(0.99);
    report.must(format!("{label}: added p99 without it"), added, "ms", Goal::AtMost(50.0));
    report.must(format!("{label}: used again after"), back, "s", Goal::AtMost(BACK.as_secs_f64()));
    report.must(format!("{label}: jobs go on after"), resumed, "s", Goal::AtMost(BACK.as_secs_f64()));
    let added = after.percentile(0.99) - beside_after.percentile(0.99);
    report.must(format!("{label}: added p99 5 s after"), added, "ms", Goal::AtMost(50.0));
    Ok(())
}

impl Callers {
    /// What these and the others saw.
    fn compare(&self, when: &str, from: Instant, until: Instant) -> (Seen, Seen) {
        let seen = [&self.load, &self.others].map(|load| load.between(from, until));
        println!("  {when:<12} {}", seen[0].line());
        println!("  {:<12} {}", "  others", seen[1].line());
        let [these, others] = seen;
        (these, others)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn fails(seen: &Seen, label: &str, report: &mut Report) {
    let failures = seen.failures();
    if !failures.is_empty() {
        println!("{label}: {failures:?}");
    }
    let count = failures.values().sum::<usize>() as f64;
    report.must(format!("{label}: failed of {} calls", seen.0.len()), count, "calls", Goal::AtMost(0.0));
}

/// Seconds since `ended` until every API says that Redis is there.
async fn health_is_good(addresses: &[String], ended: Instant) -> Result<f64> {
    for address in addresses {
        let mut client = Client::new(address, String::new());
        loop {
            let (_, health) = client.get("/api/health").await.context("health")?;
            if health["redis"]["status"] == "ok" {
                break;
            }
            ensure!(ended.elapsed() < Duration::from_secs(30), "Redis is not found again: {health}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(ended.elapsed().as_secs_f64())
}

/// Seconds since `ended` until a job is done again.
async fn jobs_go_on(ground: &Ground, since: DateTime<Utc>, ended: Instant) -> Result<f64> {
    while ground.jobs_done_since(since).await? == 0 {
        ensure!(ended.elapsed() < Duration::from_secs(60), "no job is done any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(ended.elapsed().as_secs_f64())
}

async fn judge(ground: &Ground, callers: &Callers, begun: Instant, report: &mut Report) -> Result<()> {
    let name = ground.name();
    fails(&callers.load.between(begun, Instant::now()), name, report);
    ground.keeps_promises(callers.load.exports().len() + callers.others.exports().len(), report).await
}

/// Somebody who logs in and out while Redis is in trouble.
struct Visitor {
    address: String,
    email: String,
    /// With a session from before the trouble.
    early: Client,
    /// With one that was begun without Redis.
    late: Option<Client>,
}

const PASSWORD: &str = "Correct-horse-1";

impl Visitor {
    async fn register(address: &str) -> Result<Self> {
        let email = format!("{}@example.com", uuid::Uuid::new_v4().simple());
        let form = json!({ "username": email, "email": email, "password": PASSWORD });
        let (status, answer) = post(&mut Client::new(address, String::new()), "register", &form).await?;
        ensure!(status == 201, "registering: {status} {answer}");
        let early = log_in(address, &email).await?;
        Ok(Self { address: address.to_owned(), email, early, late: None })
    }

    /// Redis is told of the session now, if it is there.
    async fn is_known(&mut self) -> Result<()> {
        expect(&mut self.early, 200, "a session from before").await
    }

    /// Logs in, is recognised, and logs both sessions out: they are refused at once.
    async fn come_and_go(&mut self) -> Result<()> {
        let mut late = log_in(&self.address, &self.email).await?;
        expect(&mut late, 200, "a new session").await?;
        expect(&mut self.early, 200, "the old session").await?;
        for client in [&mut self.early, &mut late] {
            let (status, answer) = post(client, "logout", &json!({})).await?;
            ensure!(status == 200, "logging out: {status} {answer}");
            expect(client, 401, "a session that was ended").await?;
        }
        self.late = Some(late);
        Ok(())
    }

    /// No return of Redis brings an ended session back.
    async fn stays_away(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until {
            for client in [Some(&mut self.early), self.late.as_mut()].into_iter().flatten() {
                expect(client, 401, "a session that was ended, now that Redis is back").await?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn log_in(address: &str, email: &str) -> Result<Client> {
    let form = json!({ "email": email, "password": PASSWORD });
    let (status, answer) = post(&mut Client::new(address, String::new()), "login", &form).await?;
    ensure!(status == 200, "logging in: {status} {answer}");
    Ok(Client::new(address, answer["token"].as_str().context("a token")?.to_owned()))
}

async fn post(client: &mut Client, what: &str, body: &Value) -> Result<(u16, Value)> {
    client
        .post(&format!("/api/auth/{what}"), body, None)
        .await
        .with_context(|| format!("{what} got no answer"))
}

async fn expect(client: &mut Client, expected: u16, what: &str) -> Result<()> {
    let (status, _) = client.get("/api/auth/sessions").await.context("no answer")?;
    ensure!(status == expected, "{what}: {status} instead of {expected}");
    Ok(())
}
