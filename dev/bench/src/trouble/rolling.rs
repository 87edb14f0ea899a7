//! Processes are replaced one after the other behind a balancer: no call and no job is lost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use devstack::Process;

use super::{balancer::Balancer, calls::Load, ground::Ground};
use crate::report::{Goal, Report, percentile, sorted};

const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(100);
const ROUNDS: usize = 3;

/// A worker may finish what it runs for 18 s and then has 5 s to write it down.
const LONGEST_STOP: Duration = Duration::from_secs(40);

/// Lets it happen and takes the figures.
pub async fn run(ground: &mut Ground, report: &mut Report) -> Result<()> {
    let mut apis = [ground.api(&[]).await?, ground.api(&[]).await?];
    let mut workers = [ground.worker(&[])?, ground.worker(&[])?];
    let addresses = apis.each_ref().map(|(_, address)| address.clone());
    let balancer = Balancer::start(&addresses).await?;
    let begun = Instant::now();
    let people = ground.people(CALLERS).await?;
    let mut load = Load::start(ground, std::slice::from_ref(&balancer.address), people, PAUSE);
    let (mut drains, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for number in 0..2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drains.push(stop(&apis[number].0).await?);
            apis[number] = ground.api(&[("HTTP_ADDR", &addresses[number])]).await?;
            balancer.uses(number).await;
            stops.push(stop(&workers[number]).await?);
            workers[number] = ground.worker(&[])?;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.stop().await?;
    ground.settle(Duration::from_secs(60)).await?;
    let seen = load.between(begun, Instant::now());
    println!("{}: {}", ground.name(), seen.line());
    judge(ground, &load, begun, (drains, stops), report).await
}

/// Seconds from SIGTERM to the end of the process, which must be a good one.
async fn stop(process: &Process) -> Result<f64> {
    let asked = Instant::now();
    process.terminate()?;
    let code = process.wait(LONGEST_STOP).await?;
    ensure!(code == Some(0), "a process was told to stop and ended with {code:?}:\n{}", process.log());
    Ok(asked.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
async fn judge(
    ground: &Ground,
    load: &Load,
    begun: Instant,
    (drains, stops): (Vec<f64>, Vec<f64>),
    report: &mut Report,
) -> Result<()> {
    let name = ground.name();
    let seen = load.between(begun, Instant::now());
    let failures = seen.failures();
    if !failures.is_empty() {
        println!("{name}: {failures:?}");
    }
    let lost = failures.values().sum::<usize>() as f64;
    report.must(format!("{name}: failed of {} calls", seen.0.len()), lost, "calls", Goal::AtMost(0.0));
    for (what, times, most) in [("an API", drains, 12.0), ("a worker", stops, 25.0)] {
        let times = sorted(times);
        let longest = times.last().copied().context("a stop")?;
        report.add(
            format!("{name}: {what} stops, median of {}", times.len()),
            percentile(&times, 0.5),
            "s",
            "",
        );
        report.must(format!("{name}: {what} stops, longest"), longest, "s", Goal::AtMost(most));
    }
    ground.keeps_promises(load.exports().len(), report).await
}
