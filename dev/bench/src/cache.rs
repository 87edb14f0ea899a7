//! What the cache, more processes and the counters change in response times and database load, on the demo's data.

use std::time::Duration;

use anyhow::{Context, Result};
use bench::{
    report::{Goal, Report},
    testbed::Testbed,
};
use devstack::Process;
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::{self, Plan, Size, Span},
    platform::db::Engine,
};

use crate::traffic::{self, Kind, Times, User, count_and_mean, percentiles};

#[derive(clap::Args)]
pub struct Options {
    /// Seconds per round; two settings are compared round by round.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds per setting.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// How far back the data goes: day, month or year.
    #[arg(long, default_value = "month")]
    span: Span,
    /// Clients that send requests without a pause.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Clients that pause for two seconds after each response, as people do.
    #[arg(long, default_value_t = 200)]
    people: usize,
    /// Seconds for which those are measured.
    #[arg(long, default_value_t = 30)]
    watch: u64,
    /// Pairs of processes, one with counters and one without.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..))]
    pairs: u16,
    /// Measure only this.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Response times and database statements with and without the cache.
    Cached,
    /// Throughput of several API processes.
    Processes,
    /// What the counters cost.
    Counters,
}

/// Makes PostgreSQL count its statements.
const COUNTING: [&str; 2] = ["-c", "shared_preload_libraries=pg_stat_statements"];

/// A person's pause between two requests.
const THINK_TIME: Duration = Duration::from_secs(2);

/// How often each process of a pair is measured, and for how long.
const TURNS: usize = 8;
const TURN: Duration = Duration::from_millis(500);

/// Promised savings: 60 to 80 % of the response time, and 50 to 80 % of the database load.
const TIME_SAVED: f64 = 60.0;
const STATEMENTS_SAVED: f64 = 50.0;

/// The most that counters may cost, in percent.
const COUNTERS: f64 = 5.0;

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start_with(engine, &COUNTING).await?;
    let app = &testbed.app;
    let plan = Plan::new(Size::Demo, options.span, 1, app.clock.now(), app.config.zone, 0);
    let loaded = demo::load(&app.db, &plan, "no password", |_| {}).await?;
    if engine == Engine::Postgres {
        app.db.write().execute_unprepared("CREATE EXTENSION pg_stat_statements").await?;
        app.db.write().execute_unprepared("VACUUM ANALYZE").await?;
    }
    let note = format!("{} lots, {} users", loaded.lots, loaded.users);
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    report.add(format!("{}: reservations", testbed.name()), loaded.reservations as f64, "", note);
    let is_wanted = |part| options.only.is_none_or(|only| only == part);
    let mut users = traffic::users(&testbed, options.clients.max(options.people)).await?;
    if is_wanted(Part::Cached) {
        users = cached(&testbed, options, users, report).await?;
        users = thinking(&testbed, options, users, report).await?;
    }
    if is_wanted(Part::Processes) {
        users = processes(&testbed, options, users, report).await?;
    }
    if is_wanted(Part::Counters) {
        counters(&testbed, options, users, report).await?;
    }
    testbed.check_integrity().await
}

/// An API process with certain settings, and what was measured of it.
struct Side {
    process: Process,
    address: String,
    times: Times,
    /// Processor time of the process, while it was measured.
    busy: Duration,
    /// Database statements, while it was measured.
    statements: f64,
}

impl Side {
    async fn new(testbed: &Testbed, settings: &[(&str, &str)]) -> Result<Self> {
        let (process, address) = testbed.api_with(settings).await?;
        Ok(Self { process, address, times: Times::new(), busy: Duration::ZERO, statements: 0.0 })
    }

    async fn round(
        &mut self,
        testbed: &Testbed,
        users: Vec<User>,
        time: Duration,
        pause: Duration,
    ) -> Result<Vec<User>> {
        let (before, busy) = (statements(testbed).await?, self.process.processor_time()?);
        let (users, times) = traffic::run(std::slice::from_ref(&self.address), users, time, pause).await?;
        // Work that follows the responses: jobs are announced, sessions are updated.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.statements += statements(testbed).await? - before;
        self.busy += self.process.processor_time()? - busy;
        traffic::merge(&mut self.times, times);
        Ok(users)
    }

    fn reset(&mut self) {
        (self.times, self.busy, self.statements) = (Times::new(), Duration::ZERO, 0.0);
    }
}

/// Statements that PostgreSQL has run so far; 0 on SQLite, which runs the same ones.
async fn statements(testbed: &Testbed) -> Result<f64> {
    let Some(postgres) = &testbed.postgres else { return Ok(0.0) };
    let text = "SELECT COALESCE(SUM(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                WHERE d.datname = current_database() AND query NOT LIKE '%pg_stat_statements%'";
    postgres.query("parkade", text).await?.parse().context("not a number of statements")
}

/// Measures several settings in turn, each equally often first, so that other load on the machine affects all of them.
async fn in_turn(
    testbed: &Testbed,
    (rounds, time): (usize, Duration),
    clients: usize,
    sides: &mut [Side],
    mut users: Vec<User>,
) -> Result<Vec<User>> {
    let rest = users.split_off(clients);
    for round in 0..=rounds {
        for turn in 0..sides.len() {
            let side = &mut sides[(round + turn) % sides.len()];
            users = side.round(testbed, users, time, Duration::ZERO).await?;
            if round == 0 {
                side.reset();
            }
        }
    }
    users.extend(rest);
    Ok(users)
}

const READS: [Kind; 9] = [
    Kind::Lots,
    Kind::Lot,
    Kind::FreeSpots,
    Kind::User,
    Kind::Reservations,
    Kind::UserReport,
    Kind::Users,
    Kind::Reports,
    Kind::Dashboard,
];

/// By how many percent `with` is below `without`.
fn saved(with: f64, without: f64) -> f64 {
    100.0 * (1.0 - with / without)
}

/// The cache, with clients that send requests as fast as they can.
async fn cached(
    testbed: &Testbed,
    options: &Options,
    users: Vec<User>,
    report: &mut Report,
) -> Result<Vec<User>> {
    let mut sides =
        [Side::new(testbed, &[]).await?, Side::new(testbed, &[("CACHE_ENABLED", "false")]).await?];
    let rounds = (options.rounds, Duration::from_secs(options.seconds));
    let users = in_turn(testbed, rounds, options.clients, &mut sides, users).await?;
    let [with, without] = sides;
    for kind in READS.into_iter().chain([Kind::Write]) {
        let label = format!("{}, {} clients: {}", testbed.name(), options.clients, kind.name());
        let [a, b] = [&with, &without].map(|side| percentiles(&side.times, kind));
        for (what, [p50, p95, p99]) in [("cached", a), ("uncached", b)] {
            report.add(format!("{label}, {what}"), p50, "ms", format!("p50; p95 {p95:.2}, p99 {p99:.2}"));
        }
        report.add(format!("{label}: time saved, p50"), saved(a[0], b[0]), "%", "");
    }
    compare(&format!("{}, {} clients", testbed.name(), options.clients), &with, &without, report);
    Ok(users)
}

/// The promised savings: mean response time of reads over the mix, and database statements.
fn compare(label: &str, with: &Side, without: &Side, report: &mut Report) {
    // Rejected requests are not counted as slow ones, to the advantage of the uncached side.
    let [a, b] = [with, without].map(|side| count_and_mean(&side.times, |kind| kind == Kind::Rejected).0);
    report.check(format!("{label}: rejected, cached"), a, "", Goal::AtMost(0.0));
    report.add(format!("{label}: rejected, uncached"), b, "", "503, not counted below");
    let [a, b] = [with, without].map(|side| count_and_mean(&side.times, |kind| READS.contains(&kind)).1);
    report.add(format!("{label}: reads of the mix, cached"), a, "ms", "mean");
    report.add(format!("{label}: reads of the mix, uncached"), b, "ms", "mean");
    report.check(format!("{label}: time saved, mean of reads"), saved(a, b), "%", Goal::AtLeast(TIME_SAVED));
    if with.statements > 0.0 {
        let [a, b] =
            [with, without].map(|side| 100.0 * side.statements / count_and_mean(&side.times, |_| true).0);
        report.add(format!("{label}: statements per 100 requests, cached"), a, "", "with BEGIN and COMMIT");
        report.add(format!("{label}: statements per 100 requests, uncached"), b, "", "");
        report.check(format!("{label}: statements saved"), saved(a, b), "%", Goal::AtLeast(STATEMENTS_SAVED));
    }
}

/// The cache, with people who pause between two requests, so that each request is authenticated again.
async fn thinking(
    testbed: &Testbed,
    options: &Options,
    mut users: Vec<User>,
    report: &mut Report,
) -> Result<Vec<User>> {
    let mut sides = Vec::new();
    for settings in [[("CACHE_ENABLED", "true")], [("CACHE_ENABLED", "false")]] {
        let mut side = Side::new(testbed, &settings).await?;
        // The first half fills the caches.
        for _ in 0..2 {
            side.reset();
            users = side.round(testbed, users, Duration::from_secs(options.watch), THINK_TIME).await?;
        }
        sides.push(side);
    }
    let label = format!("{}, {} people", testbed.name(), users.len());
    if let [with, without] = &sides[..] {
        compare(&label, with, without, report);
    }
    Ok(users)
}

/// Requests per second with one, two and four processes.
async fn processes(
    testbed: &Testbed,
    options: &Options,
    mut users: Vec<User>,
    report: &mut Report,
) -> Result<Vec<User>> {
    let rest = users.split_off(options.clients);
    for count in [1, 2, 4] {
        let (mut processes, mut addresses) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (process, address) = testbed.api().await?;
            processes.push(process);
            addresses.push(address);
        }
        let time = Duration::from_secs(options.seconds * 3);
        let seen;
        (users, seen) = traffic::run(&addresses, users, time, Duration::ZERO).await?;
        let label = format!("{}, {} clients, {count} processes: the mix", testbed.name(), options.clients);
        let [p50, p95, p99] = percentiles(&seen, Kind::Lots);
        let note = format!("list of lots: p50 {p50:.2} ms, p95 {p95:.2}, p99 {p99:.2}");
        report.add(label, count_and_mean(&seen, |_| true).0 / time.as_secs_f64(), "/s", note);
    }
    users.extend(rest);
    Ok(users)
}

/// The counters. Two processes with equal settings already differ by more than the goal for as long as they live, so the
/// mean of many pairs is compared.
async fn counters(
    testbed: &Testbed,
    options: &Options,
    mut users: Vec<User>,
    report: &mut Report,
) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..options.pairs {
        let mut pair =
            [Side::new(testbed, &[]).await?, Side::new(testbed, &[("COUNTERS_ENABLED", "false")]).await?];
        // One client: several would share the cores with the server and hide so small a difference.
        users = in_turn(testbed, (TURNS, TURN), 1, &mut pair, users).await?;
        pairs.push(pair.map(|side| (side.times, side.busy)));
    }
    let label = format!("{}, counters", testbed.name());
    let mut compare = |what: &str, value: &dyn Fn(&(Times, Duration)) -> f64| {
        let more: Vec<f64> =
            pairs.iter().map(|[with, without]| 100.0 * (value(with) / value(without) - 1.0)).collect();
        let (mean, error) = mean_and_standard_error(&more);
        report.check(format!("{label}: {what} (± {error:.1})"), mean, "%", Goal::AtMost(COUNTERS));
    };
    for kind in READS.into_iter().chain([Kind::Write]) {
        compare(&format!("{} slower, p50", kind.name()), &|(times, _)| percentiles(times, kind)[0]);
    }
    compare("all slower, mean", &|(times, _)| count_and_mean(times, |_| true).1);
    compare("more processor time", &|(times, busy)| busy.as_secs_f64() / count_and_mean(times, |_| true).0);
    Ok(())
}

/// The mean of some values, and its standard error.
#[expect(clippy::cast_precision_loss, reason = "counts")]
fn mean_and_standard_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}
