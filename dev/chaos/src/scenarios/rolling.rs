//! A rolling restart behind a load balancer: no request and no job is lost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::report::{Goal, Report, percentile, sorted};
use devstack::Process;

use super::{balancer::Balancer, load::Load, testbed::Testbed};

const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(100);
const ROUNDS: usize = 3;

/// After SIGTERM, jobs may finish for 18 s and their results must be recorded within another 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

pub async fn run(testbed: &Testbed, report: &mut Report) -> Result<()> {
    let mut apis = [testbed.api(&[]).await?, testbed.api(&[]).await?];
    let mut workers = [testbed.worker(&[])?, testbed.worker(&[])?];
    let addresses = apis.each_ref().map(|(_, address)| address.clone());
    let balancer = Balancer::start(&addresses).await?;
    let started = Instant::now();
    let users = testbed.users(CLIENTS).await?;
    let mut load = Load::start(testbed, std::slice::from_ref(&balancer.address), users, PAUSE);
    let (mut drains, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for number in 0..2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drains.push(stop(&apis[number].0).await?);
            apis[number] = testbed.api(&[("HTTP_ADDR", &addresses[number])]).await?;
            balancer.wait_until_used(number).await;
            stops.push(stop(&workers[number]).await?);
            workers[number] = testbed.worker(&[])?;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.stop().await?;
    testbed.settle(Duration::from_secs(60)).await?;
    let calls = load.between(started, Instant::now());
    println!("{}: {}", testbed.name(), calls.summary());
    check(testbed, &load, started, (drains, stops), report).await
}

/// Seconds from SIGTERM to the exit of the process, which must succeed.
async fn stop(process: &Process) -> Result<f64> {
    let sent = Instant::now();
    process.terminate()?;
    let code = process.wait(STOP_TIMEOUT).await?;
    ensure!(code == Some(0), "after SIGTERM, a process exited with {code:?}:\n{}", process.log());
    Ok(sent.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
async fn check(
    testbed: &Testbed,
    load: &Load,
    started: Instant,
    (drains, stops): (Vec<f64>, Vec<f64>),
    report: &mut Report,
) -> Result<()> {
    let name = testbed.name();
    let calls = load.between(started, Instant::now());
    let failures = calls.failures();
    if !failures.is_empty() {
        println!("{name}: {failures:?}");
    }
    let lost = failures.values().sum::<usize>() as f64;
    report.require(
        format!("{name}: failed of {} requests", calls.0.len()),
        lost,
        "requests",
        Goal::AtMost(0.0),
    );
    for (what, times, most) in [("an API", drains, 12.0), ("a worker", stops, 25.0)] {
        let times = sorted(times);
        let longest = times.last().copied().context("nothing was stopped")?;
        report.add(
            format!("{name}: {what} stops, median of {}", times.len()),
            percentile(&times, 0.5),
            "s",
            "",
        );
        report.require(format!("{name}: {what} stops, longest"), longest, "s", Goal::AtMost(most));
    }
    testbed.check_outcome(load.exports().len(), report).await
}
