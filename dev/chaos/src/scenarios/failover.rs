//! The primary of two PostgreSQL servers dies under load, and its synchronous standby is promoted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench::{
    report::{Goal, Report},
    testbed::check_integrity,
};
use shared::platform::db::Engine;

use super::{
    database::add_calls,
    load::Load,
    probes::{Period, Probing, number},
    testbed::Testbed,
};

const CLIENTS: usize = 24;
const PAUSE: Duration = Duration::from_millis(50);
const BEFORE: Duration = Duration::from_secs(5);

/// How long nobody promotes the standby.
const OUTAGE: Duration = Duration::from_secs(5);

/// The longest time from the promotion until everything works again.
const RECOVERY: Duration = Duration::from_secs(10);

pub async fn run(testbed: &mut Testbed, report: &mut Report) -> Result<()> {
    if testbed.engine == Engine::Sqlite {
        return Ok(()); // a file has no standby
    }
    let primary = testbed.postgres.take().context("PostgreSQL is not running")?;
    let standby = primary.start_standby().await?;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let url = format!("postgres://postgres@{hosts}/parkade?target_session_attrs=read-write");
    testbed.use_database(url).await?;
    let (_api, address) = testbed.api(&[]).await?;
    let _worker = testbed.worker(&[])?;
    let users = testbed.users(CLIENTS + 1).await?;
    let mut load = Load::start(testbed, std::slice::from_ref(&address), users[1..].to_vec(), PAUSE);
    tokio::time::sleep(BEFORE).await;

    let (began, probing) = (Instant::now(), Probing::start(&address, &users[0].token));
    primary.kill().await?;
    tokio::time::sleep(OUTAGE).await;
    let ending = Instant::now();
    standby.promote().await?;
    let ended = Instant::now();
    tokio::time::sleep(RECOVERY + BEFORE).await;
    let (during, after) = (load.between(began, ended), load.between(ended, Instant::now()));
    let probes = probing.stop().await?;
    load.stop().await?;

    let label = |what: &str| format!("failover: {what}");
    add_calls(&during, &label, report);
    let wrong = after.0.iter().filter(|call| call.failed() && call.status != Some(503)).count();
    report.require(
        label("after it, requests without a response or 500"),
        number(wrong),
        "",
        Goal::AtMost(0.0),
    );
    let failed = after.0.iter().filter(|call| call.failed());
    let last = failed.map(|call| call.at + Duration::from_secs_f64(call.millis / 1e3)).max();
    let last = last.map_or(0.0, |last| last.duration_since(ended).as_secs_f64());
    report.require(
        label("last failure after the promotion"),
        last,
        "s",
        Goal::AtMost(RECOVERY.as_secs_f64()),
    );
    report.require(label("requests afterwards"), number(after.0.len()), "", Goal::AtLeast(100.0));
    probes.add_to(report, &label, Period { began, ending, ended }, true);
    check_nothing_is_lost(testbed, &load, report).await?;
    drop(standby);
    Ok(())
}

/// Looks for each booking, departure and export that was acknowledged, on the promoted server.
async fn check_nothing_is_lost(testbed: &Testbed, load: &Load, report: &mut Report) -> Result<()> {
    let left = testbed.settle(Duration::from_secs(60)).await?;
    report.add("failover: all jobs done after", left, "s", "");
    let (booked, released) = (load.booked(), load.released());
    let kept = testbed.count_reservations(&booked, "TRUE").await?;
    report.require("failover: bookings acknowledged", number(booked.len()), "", Goal::AtLeast(100.0));
    report.require("failover: of these lost", number(booked.len()) - kept, "", Goal::AtMost(0.0));
    let kept = testbed.count_reservations(&released, "state = 'completed'").await?;
    report.require("failover: departures lost", number(released.len()) - kept, "", Goal::AtMost(0.0));
    let accepted = number(load.exports().len());
    let done = testbed.jobs("kind = 'export-csv' AND state = 'succeeded'").await?;
    report.require("failover: exports done", f64::from(u32::try_from(done)?), "", Goal::AtLeast(accepted));
    check_integrity(&testbed.app).await
}
