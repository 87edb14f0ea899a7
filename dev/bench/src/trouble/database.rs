//! The database is killed, frozen, cut off, locked or busy: everybody hears soon that it is, and nothing is lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use devstack::Mode;
use sea_orm::ConnectionTrait;
use shared::platform::db::{Engine, Transaction};
use tokio::task::JoinHandle;

use super::{calls::Load, ground::Ground};
use crate::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
    stage::is_sound,
};

const CALLERS: usize = 24;
const PAUSE: Duration = Duration::from_millis(100);
const CALM: Duration = Duration::from_secs(3);
const AWAY: Duration = Duration::from_secs(8);

/// By then everybody has noticed, and when it is back, by then all is as before. In milliseconds.
const LIMIT: f64 = 3_000.0;
const BACK: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Frozen,
    Refusing,
    CutOff,
    Locked,
}

impl Fault {
    fn all(engine: Engine) -> &'static [Self] {
        match engine {
            Engine::Sqlite => &[Self::Locked],
            Engine::Postgres => &[Self::Killed, Self::Frozen, Self::Refusing, Self::CutOff, Self::Locked],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Refusing => "refusing connections",
            Self::CutOff => "cut off",
            Self::Locked => "locked",
        }
    }

    /// What is returned holds the lock.
    async fn begin(self, ground: &Ground) -> Result<Option<Transaction>> {
        let server = || ground.postgres.as_ref().context("PostgreSQL");
        let proxy = || ground.postgres_proxy.as_ref().context("its proxy");
        match self {
            Self::Killed => server()?.kill().await?,
            Self::Frozen => server()?.pause()?,
            Self::Refusing => proxy()?.set(Mode::Cut).await?,
            Self::CutOff => proxy()?.set(Mode::BlackHole).await?,
            Self::Locked => return lock(ground).await.map(Some),
        }
        Ok(None)
    }

    async fn end(self, ground: &mut Ground, lock: Option<Transaction>) -> Result<()> {
        match self {
            Self::Killed => ground.postgres.as_mut().context("PostgreSQL")?.restart().await?,
            Self::Frozen => ground.postgres.as_ref().context("PostgreSQL")?.resume()?,
            Self::Refusing | Self::CutOff => {
                ground.postgres_proxy.as_ref().context("its proxy")?.set(Mode::Pass).await?;
            }
            Self::Locked => lock.context("the lock")?.rollback().await?,
        }
        Ok(())
    }
}

/// Nobody else can write, and on PostgreSQL, where all connections wait then, not even read.
async fn lock(ground: &Ground) -> Result<Transaction> {
    let tx = ground.app.db.begin().await?;
    if ground.engine == Engine::Postgres {
        // It waits for those at work, and then does nothing for a while.
        tx.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
        tx.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        tx.execute_unprepared(
            "LOCK TABLE sessions, users, lots, reservations, jobs IN ACCESS EXCLUSIVE MODE",
        )
        .await?;
    }
    Ok(tx)
}

/// Lets all of it happen and takes the figures.
pub async fn run(ground: &mut Ground, report: &mut Report) -> Result<()> {
    // So few that callers who wait for a lock have all of them.
    let few = [("DATABASE_CONNECTIONS", "8")];
    let (_api, address) = ground.api(&few).await?;
    let _worker = ground.worker(&few)?;
    let people = ground.people(CALLERS + 1).await?;
    let token = people[0].token.clone();
    let mut load = Load::start(ground, std::slice::from_ref(&address), people[1..].to_vec(), PAUSE);
    for fault in Fault::all(ground.engine) {
        suffer(ground, *fault, (&load, &address, &token), report).await?;
    }
    load.stop().await?;
    let left = ground.settle(Duration::from_secs(60)).await?;
    let label = |what: &str| format!("{}: {what}", ground.name());
    report.add(label("what was left to do took"), left, "s", "");
    let promised = count(load.exports().len());
    report.add(label("exports that were promised"), promised, "", "");
    let made = ground.jobs("kind = 'export-csv' AND state = 'succeeded'").await?;
    report.must(label("exports made"), f64::from(u32::try_from(made)?), "", Goal::AtLeast(promised));
    // Whoever was cut off between sending a receipt and noting it leaves the decision to an operator.
    let held = ground.jobs("state = 'failed' AND kind = 'send-receipt'").await?;
    report.add(label("receipts in doubt, held"), f64::from(u32::try_from(held)?), "", "");
    let undone = ground.jobs("state NOT IN ('succeeded', 'cancelled')").await? - held;
    report.must(label("other jobs not done"), f64::from(u32::try_from(undone)?), "", Goal::AtMost(0.0));
    let resent = f64::from(u32::try_from(ground.resent_mails().await?)?);
    report.add(label("mails in doubt, sent again"), resent, "", "under the same Message-ID");
    is_sound(&ground.app).await
}

/// One fault, from the calm before to the calm afterwards.
async fn suffer(
    ground: &mut Ground,
    fault: Fault,
    (load, address, token): (&Load, &str, &str),
    report: &mut Report,
) -> Result<()> {
    tokio::time::sleep(CALM).await;
    let name = ground.name();
    let label = |what: &str| format!("{name}, {}: {what}", fault.name());
    let (begun, probes) = (Instant::now(), Probes::start(address, token));
    let lock = fault.begin(ground).await?;
    tokio::time::sleep(AWAY).await;
    let ending = Instant::now();
    fault.end(ground, lock).await?;
    let ended = Instant::now();
    tokio::time::sleep(BACK * 2).await;
    let during = load.between(begun, ended);
    let after = load.between(ended, Instant::now());
    let probes = probes.stop().await?;

    let mut statuses = BTreeMap::<String, usize>::new();
    for call in &during.0 {
        let status = call.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *statuses.entry(status).or_default() += 1;
    }
    let wrong = during.0.iter().filter(|call| call.failed() && call.status != Some(503)).count();
    let note = format!("of {}, answered {statuses:?}", during.0.len());
    report.add(label("calls, p99"), during.percentile(0.99), "ms", note);
    let slowest = during.0.iter().chain(&after.0).map(|call| call.millis).fold(0.0, f64::max);
    report.must(label("longest call"), slowest, "ms", Goal::AtMost(LIMIT));
    report.must(label("calls answered 500 or not at all"), count(wrong), "", Goal::AtMost(0.0));
    let failures = after.0.iter().filter(|call| call.failed());
    let last = failures.map(|call| call.at + Duration::from_secs_f64(call.millis / 1e3)).max();
    let back = last.map_or(0.0, |last| last.duration_since(ended).as_secs_f64());
    report.must(label("after its return, last failure"), back, "s", Goal::AtMost(BACK.as_secs_f64()));
    // Where locks alone keep all connections busy, one is free now and then.
    let must_notice = fault != Fault::Locked || ground.engine == Engine::Sqlite;
    probes.report(&label, (begun, ending, ended), must_notice, report);
    Ok(())
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Live,
    Ready,
    Read,
}

struct Probe {
    at: Instant,
    what: What,
    status: Option<u16>,
    millis: f64,
    says_when: bool,
}

impl Probe {
    /// How many seconds after this it was answered.
    fn since(&self, instant: Instant) -> f64 {
        (self.at - instant).as_secs_f64() + self.millis / 1e3
    }
}

/// Somebody who asks all the time how the process is, and whether a refusal says when to come again.
struct Probing {
    stop: Arc<AtomicBool>,
    probes: Arc<Mutex<Vec<Probe>>>,
    asking: JoinHandle<()>,
}

struct Probes(Vec<Probe>);

impl Probes {
    fn start(address: &str, token: &str) -> Probing {
        let (stop, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (address, token) = (address.to_owned(), format!("authorization: Bearer {token}\r\n"));
        let (stopped, noted) = (stop.clone(), probes.clone());
        let asking = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                for (what, path) in [
                    (What::Live, "/api/health/live"),
                    (What::Ready, "/api/health/ready"),
                    (What::Read, "/api/auth/sessions"),
                ] {
                    let at = Instant::now();
                    let answer = ask(&address, &request(&address, "GET", path, &token, "")).await.ok();
                    let (status, says_when) =
                        answer.map_or((None, false), |(status, when)| (Some(status), when));
                    let probe =
                        Probe { at, what, status, millis: at.elapsed().as_secs_f64() * 1e3, says_when };
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(probe);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Probing { stop, probes, asking }
    }

    fn report(
        &self,
        label: &impl Fn(&str) -> String,
        (begun, ending, ended): (Instant, Instant, Instant),
        must_notice: bool,
        report: &mut Report,
    ) {
        let of = |what: What| self.0.iter().filter(move |probe| probe.what == what);
        let ill = of(What::Live).filter(|probe| probe.status != Some(200)).count();
        let times = sorted(of(What::Live).map(|probe| probe.millis).collect());
        let note = format!("p99 {:.1} ms", percentile(&times, 0.99));
        report.add(label("questions whether it lives"), count(times.len()), "", note);
        report.must(label("of them not answered 200"), count(ill), "", Goal::AtMost(0.0));
        let meanwhile = |probe: &&Probe| probe.at > begun + Duration::from_secs(3) && probe.at < ending;
        let is_ready = |probe: &&Probe| probe.status == Some(200);
        let asked = of(What::Ready).filter(meanwhile).count();
        let wrong = of(What::Ready).filter(meanwhile).filter(is_ready).count();
        if must_notice {
            let unready = of(What::Ready).find(|probe| probe.at > begun && probe.status == Some(503));
            let noticed = unready.map_or(f64::NAN, |probe| probe.since(begun));
            report.must(label("not ready after"), noticed, "s", Goal::AtMost(LIMIT / 1e3));
            report.must(label("ready too early"), count(wrong), "", Goal::AtMost(0.0));
        } else {
            report.add(label("ready now and then"), count(wrong), "", format!("of {asked} times"));
        }
        let ready = of(What::Ready).find(|probe| probe.at > ended && probe.status == Some(200));
        let ready = ready.map_or(f64::NAN, |probe| probe.since(ended));
        report.must(label("ready again after"), ready, "s", Goal::AtMost(BACK.as_secs_f64()));
        let slowest = self.0.iter().map(|probe| probe.millis).fold(0.0, f64::max);
        report.must(label("longest probe"), slowest, "ms", Goal::AtMost(LIMIT));
        let mute = self.0.iter().filter(|probe| probe.status == Some(503) && !probe.says_when).count();
        report.must(label("503 without Retry-After"), count(mute), "", Goal::AtMost(0.0));
    }
}

impl Probing {
    async fn stop(self) -> Result<Probes> {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.await?;
        Ok(Probes(std::mem::take(&mut *self.probes.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

async fn ask(address: &str, request: &[u8]) -> Result<(u16, bool)> {
    let asking = async {
        let mut connection = Connection::open(address).await?;
        let (status, _) = connection.send(request).await?;
        anyhow::Ok((status, connection.was_told("retry-after: 1")))
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await?
}
