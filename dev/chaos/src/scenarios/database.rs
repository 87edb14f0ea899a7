//! The database is killed, frozen, cut off or locked: callers learn of it soon, and nothing is lost.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bench::{
    report::{Goal, Report},
    testbed::check_integrity,
};
use devstack::Mode;
use sea_orm::ConnectionTrait;
use shared::platform::db::{Engine, Transaction};

use super::{
    load::{Calls, Load},
    probes::{LIMIT, Period, Probing, RECOVERY, number},
    testbed::Testbed,
};

const CLIENTS: usize = 24;
const PAUSE: Duration = Duration::from_millis(100);
const BEFORE: Duration = Duration::from_secs(3);
const OUTAGE: Duration = Duration::from_secs(8);

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

    /// The returned transaction holds the lock.
    async fn begin(self, testbed: &Testbed) -> Result<Option<Transaction>> {
        let server = || testbed.postgres.as_ref().context("PostgreSQL is not running");
        let proxy = || testbed.postgres_proxy.as_ref().context("the proxy is not running");
        match self {
            Self::Killed => server()?.kill().await?,
            Self::Frozen => server()?.pause()?,
            Self::Refusing => proxy()?.set(Mode::Cut).await?,
            Self::CutOff => proxy()?.set(Mode::BlackHole).await?,
            Self::Locked => return lock(testbed).await.map(Some),
        }
        Ok(None)
    }

    async fn end(self, testbed: &mut Testbed, lock: Option<Transaction>) -> Result<()> {
        match self {
            Self::Killed => testbed.postgres.as_mut().context("PostgreSQL is not running")?.restart().await?,
            Self::Frozen => testbed.postgres.as_ref().context("PostgreSQL is not running")?.resume()?,
            Self::Refusing | Self::CutOff => {
                testbed.postgres_proxy.as_ref().context("the proxy is not running")?.set(Mode::Pass).await?;
            }
            Self::Locked => lock.context("the lock is not held")?.rollback().await?,
        }
        Ok(())
    }
}

/// Blocks all other writes, and on PostgreSQL all reads too.
async fn lock(testbed: &Testbed) -> Result<Transaction> {
    let tx = testbed.app.db.begin().await?;
    if testbed.engine == Engine::Postgres {
        // It waits for running transactions, and is idle afterwards.
        tx.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
        tx.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        tx.execute_unprepared(
            "LOCK TABLE sessions, users, lots, reservations, jobs IN ACCESS EXCLUSIVE MODE",
        )
        .await?;
    }
    Ok(tx)
}

pub async fn run(testbed: &mut Testbed, report: &mut Report) -> Result<()> {
    // Few enough for the clients that wait for a lock to use all of them.
    let few = [("DATABASE_CONNECTIONS", "8")];
    let (_api, address) = testbed.api(&few).await?;
    let _worker = testbed.worker(&few)?;
    let users = testbed.users(CLIENTS + 1).await?;
    let token = users[0].token.clone();
    let mut load = Load::start(testbed, std::slice::from_ref(&address), users[1..].to_vec(), PAUSE);
    for fault in Fault::all(testbed.engine) {
        inject(testbed, *fault, (&load, &address, &token), report).await?;
    }
    load.stop().await?;
    let left = testbed.settle(Duration::from_secs(60)).await?;
    let label = |what: &str| format!("{}: {what}", testbed.name());
    report.add(label("all jobs done after"), left, "s", "");
    let accepted = number(load.exports().len());
    report.add(label("exports accepted"), accepted, "", "");
    let done = testbed.jobs("kind = 'export-csv' AND state = 'succeeded'").await?;
    report.require(label("exports done"), f64::from(u32::try_from(done)?), "", Goal::AtLeast(accepted));
    // If a worker was cut off between sending a receipt and recording that, an operator has to decide.
    let held = testbed.jobs("state = 'failed' AND kind = 'send-receipt'").await?;
    report.add(label("receipts held as ambiguous"), f64::from(u32::try_from(held)?), "", "");
    let undone = testbed.jobs("state NOT IN ('succeeded', 'cancelled')").await? - held;
    report.require(label("other jobs not done"), f64::from(u32::try_from(undone)?), "", Goal::AtMost(0.0));
    let resent = f64::from(u32::try_from(testbed.resent_mails().await?)?);
    report.add(label("mails sent again"), resent, "", "with the same Message-ID");
    check_integrity(&testbed.app).await
}

/// Injects a fault and measures during and after it.
async fn inject(
    testbed: &mut Testbed,
    fault: Fault,
    (load, address, token): (&Load, &str, &str),
    report: &mut Report,
) -> Result<()> {
    tokio::time::sleep(BEFORE).await;
    let name = testbed.name();
    let label = |what: &str| format!("{name}, {}: {what}", fault.name());
    let (began, probing) = (Instant::now(), Probing::start(address, token));
    let lock = fault.begin(testbed).await?;
    tokio::time::sleep(OUTAGE).await;
    let ending = Instant::now();
    fault.end(testbed, lock).await?;
    let ended = Instant::now();
    tokio::time::sleep(RECOVERY * 2).await;
    let (during, after) = (load.between(began, ended), load.between(ended, Instant::now()));
    let probes = probing.stop().await?;

    add_calls(&during, &label, report);
    let slowest = during.0.iter().chain(&after.0).map(|call| call.millis).fold(0.0, f64::max);
    report.require(label("slowest request"), slowest, "ms", Goal::AtMost(LIMIT));
    let failed = after.0.iter().filter(|call| call.failed());
    let last = failed.map(|call| call.at + Duration::from_secs_f64(call.millis / 1e3)).max();
    let last = last.map_or(0.0, |last| last.duration_since(ended).as_secs_f64());
    report.require(label("last failure after the fault"), last, "s", Goal::AtMost(RECOVERY.as_secs_f64()));
    // While locks keep all connections of PostgreSQL busy, one is free now and then.
    let must_detect = fault != Fault::Locked || testbed.engine == Engine::Sqlite;
    probes.add_to(report, &label, Period { began, ending, ended }, must_detect);
    Ok(())
}

/// The calls during a fault: 503 is allowed, other failures are not.
pub fn add_calls(calls: &Calls, label: &impl Fn(&str) -> String, report: &mut Report) {
    let mut statuses = BTreeMap::<String, usize>::new();
    for call in &calls.0 {
        let status = call.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *statuses.entry(status).or_default() += 1;
    }
    let note = format!("of {}, by status: {statuses:?}", calls.0.len());
    report.add(label("requests during the fault, p99"), calls.percentile(0.99), "ms", note);
    let wrong = calls.0.iter().filter(|call| call.failed() && call.status != Some(503)).count();
    report.require(label("requests without a response or 500"), number(wrong), "", Goal::AtMost(0.0));
}
