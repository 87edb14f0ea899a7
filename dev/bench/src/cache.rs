//! What the cache, more processes and the counters do to answers and to the database, on the data of the demo.

use std::time::Duration;

use anyhow::{Context, Result};
use devstack::Process;
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::{self, Plan, Size, Span},
    platform::db::Engine,
};

use crate::{
    report::{Goal, Report},
    stage::Stage,
    visit::{self, Ask, Person, Times, mean, spread, visit},
};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds of a round; two settings are compared round by round.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds of each setting.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// How far back the data goes: day, month or year.
    #[arg(long, default_value = "month")]
    span: Span,
    /// Clients who ask without a pause.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// People who ask every two seconds, as at a car park.
    #[arg(long, default_value_t = 200)]
    people: usize,
    /// Seconds for which they are watched.
    #[arg(long, default_value_t = 30)]
    watch: u64,
    /// Pairs of processes, one that counts and one that does not.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..))]
    pairs: u16,
    /// Measure this alone.
    #[arg(long)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Answers and statements with and without the cache.
    Cached,
    /// More processes.
    Processes,
    /// What counting costs.
    Counters,
}

/// PostgreSQL counts its statements.
const COUNTING: [&str; 2] = ["-c", "shared_preload_libraries=pg_stat_statements"];

/// The time between two requests of somebody at the car park.
const THINKING: Duration = Duration::from_secs(2);

/// How often, and for how long, each of a pair is asked.
const TURNS: usize = 8;
const TURN: Duration = Duration::from_millis(500);

/// What was promised of response times and of the database's load: 60 to 80 % less, and 50 to 80 %.
const FASTER: f64 = 60.0;
const FEWER: f64 = 50.0;

/// The most that counters may cost.
const COUNTERS: f64 = 5.0;

/// Takes all figures on one database.
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let stage = Stage::set_with(engine, &COUNTING).await?;
    let app = &stage.app;
    let plan = Plan::new(Size::Demo, options.span, 1, app.clock.now(), app.config.zone, 0);
    let loaded = demo::load(&app.db, &plan, "no password", |_| {}).await?;
    if engine == Engine::Postgres {
        app.db.write().execute_unprepared("CREATE EXTENSION pg_stat_statements").await?;
        app.db.write().execute_unprepared("VACUUM ANALYZE").await?;
    }
    let note = format!("{} lots, {} users", loaded.lots, loaded.users);
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    report.add(format!("{}: reservations", stage.name()), loaded.reservations as f64, "", note);
    let is_wanted = |part| options.only.is_none_or(|only| only == part);
    let mut people = visit::people(&stage, options.clients.max(options.people)).await?;
    if is_wanted(Part::Cached) {
        people = cached(&stage, options, people, report).await?;
        people = at_the_car_park(&stage, options, people, report).await?;
    }
    if is_wanted(Part::Processes) {
        people = processes(&stage, options, people, report).await?;
    }
    if is_wanted(Part::Counters) {
        counters(&stage, options, people, report).await?;
    }
    stage.check().await
}

/// An API process and what was seen of it.
struct Side {
    process: Process,
    address: String,
    times: Times,
    /// What the process worked, while it was asked.
    worked: Duration,
    /// Of the database, while this process was asked.
    statements: f64,
}

impl Side {
    async fn new(stage: &Stage, settings: &[(&str, &str)]) -> Result<Self> {
        let (process, address) = stage.api_with(settings).await?;
        Ok(Self { process, address, times: Times::new(), worked: Duration::ZERO, statements: 0.0 })
    }

    async fn round(
        &mut self,
        stage: &Stage,
        people: Vec<Person>,
        time: Duration,
        pause: Duration,
    ) -> Result<Vec<Person>> {
        let (before, worked) = (statements(stage).await?, self.process.processor_time()?);
        let (people, times) = visit(std::slice::from_ref(&self.address), people, time, pause).await?;
        // What comes after the answers: jobs are announced, sessions noted.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.statements += statements(stage).await? - before;
        self.worked += self.process.processor_time()? - worked;
        visit::add(&mut self.times, times);
        Ok(people)
    }

    fn forget(&mut self) {
        (self.times, self.worked, self.statements) = (Times::new(), Duration::ZERO, 0.0);
    }
}

/// Statements of PostgreSQL so far; of SQLite none are counted, it gets the same ones.
async fn statements(stage: &Stage) -> Result<f64> {
    let Some(postgres) = &stage.postgres else { return Ok(0.0) };
    let text = "SELECT COALESCE(SUM(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                WHERE d.datname = current_database() AND query NOT LIKE '%pg_stat_statements%'";
    postgres.query("parkade", text).await?.parse().context("a number of statements")
}

/// Settings by turns, each as often the first, so that whatever else the machine does befalls both.
async fn by_turns(
    stage: &Stage,
    (rounds, time): (usize, Duration),
    clients: usize,
    sides: &mut [Side],
    mut people: Vec<Person>,
) -> Result<Vec<Person>> {
    let rest = people.split_off(clients);
    for round in 0..=rounds {
        for turn in 0..sides.len() {
            let side = &mut sides[(round + turn) % sides.len()];
            people = side.round(stage, people, time, Duration::ZERO).await?;
            if round == 0 {
                side.forget();
            }
        }
    }
    people.extend(rest);
    Ok(people)
}

const READS: [Ask; 9] = [
    Ask::Lots,
    Ask::Lot,
    Ask::FreeSpots,
    Ask::User,
    Ask::Reservations,
    Ask::UserReport,
    Ask::Users,
    Ask::Reports,
    Ask::Dashboard,
];

fn less(with: f64, without: f64) -> f64 {
    100.0 * (1.0 - with / without)
}

/// Response times and statements with and without the cache, as fast as some clients can.
async fn cached(
    stage: &Stage,
    options: &Options,
    people: Vec<Person>,
    report: &mut Report,
) -> Result<Vec<Person>> {
    let mut sides = [Side::new(stage, &[]).await?, Side::new(stage, &[("CACHE_ENABLED", "false")]).await?];
    let rounds = (options.rounds, Duration::from_secs(options.seconds));
    let people = by_turns(stage, rounds, options.clients, &mut sides, people).await?;
    let [with, without] = sides;
    for ask in READS.into_iter().chain([Ask::Write]) {
        let label = format!("{}, {} clients: {}", stage.name(), options.clients, ask.name());
        let [a, b] = [&with, &without].map(|side| spread(&side.times, ask));
        for (what, [p50, p95, p99]) in [("cached", a), ("uncached", b)] {
            report.add(format!("{label}, {what}"), p50, "ms", format!("p50; p95 {p95:.2}, p99 {p99:.2}"));
        }
        report.add(format!("{label}: less time, p50"), less(a[0], b[0]), "%", "");
    }
    compare(&format!("{}, {} clients", stage.name(), options.clients), &with, &without, report);
    Ok(people)
}

/// The claims: how much less time a read takes on average over the mix, and how many statements fewer there are.
fn compare(label: &str, with: &Side, without: &Side, report: &mut Report) {
    // Those whom the uncached side has no room for are not among the slow ones, to its advantage.
    let [a, b] = [with, without].map(|side| mean(&side.times, |ask| ask == Ask::Refused).0);
    report.must(format!("{label}: refused, cached"), a, "", Goal::AtMost(0.0));
    report.add(format!("{label}: refused, uncached"), b, "", "503, not counted below");
    let [a, b] = [with, without].map(|side| mean(&side.times, |ask| READS.contains(&ask)).1);
    report.add(format!("{label}: reads of the mix, cached"), a, "ms", "mean");
    report.add(format!("{label}: reads of the mix, uncached"), b, "ms", "mean");
    report.check(format!("{label}: less time, mean of reads"), less(a, b), "%", Goal::AtLeast(FASTER));
    if with.statements > 0.0 {
        let [a, b] = [with, without].map(|side| 100.0 * side.statements / mean(&side.times, |_| true).0);
        report.add(format!("{label}: statements a 100 requests, cached"), a, "", "BEGIN, COMMIT count");
        report.add(format!("{label}: statements a 100 requests, uncached"), b, "", "");
        report.check(format!("{label}: fewer statements"), less(a, b), "%", Goal::AtLeast(FEWER));
    }
}

/// The same by people who think between two requests, so that each is recognised anew.
async fn at_the_car_park(
    stage: &Stage,
    options: &Options,
    mut people: Vec<Person>,
    report: &mut Report,
) -> Result<Vec<Person>> {
    let mut sides = Vec::new();
    for settings in [[("CACHE_ENABLED", "true")], [("CACHE_ENABLED", "false")]] {
        let mut side = Side::new(stage, &settings).await?;
        // The first half is for the caches to fill.
        for _ in 0..2 {
            side.forget();
            people = side.round(stage, people, Duration::from_secs(options.watch), THINKING).await?;
        }
        sides.push(side);
    }
    let label = format!("{}, {} people", stage.name(), people.len());
    if let [with, without] = &sides[..] {
        compare(&label, with, without, report);
    }
    Ok(people)
}

/// Requests a second with one, two and four processes.
async fn processes(
    stage: &Stage,
    options: &Options,
    mut people: Vec<Person>,
    report: &mut Report,
) -> Result<Vec<Person>> {
    let rest = people.split_off(options.clients);
    for count in [1, 2, 4] {
        let (mut processes, mut addresses) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (process, address) = stage.api().await?;
            processes.push(process);
            addresses.push(address);
        }
        let time = Duration::from_secs(options.seconds * 3);
        let seen;
        (people, seen) = visit(&addresses, people, time, Duration::ZERO).await?;
        let label = format!("{}, {} clients, {count} processes: the mix", stage.name(), options.clients);
        let [p50, p95, p99] = spread(&seen, Ask::Lots);
        let note = format!("list of lots: p50 {p50:.2} ms, p95 {p95:.2}, p99 {p99:.2}");
        report.add(label, mean(&seen, |_| true).0 / time.as_secs_f64(), "/s", note);
    }
    people.extend(rest);
    Ok(people)
}

/// Whether anything is slower because it is counted. Two processes with the same settings already differ by more than the
/// goal, each for as long as it lives; so there are many pairs, and their mean counts.
async fn counters(
    stage: &Stage,
    options: &Options,
    mut people: Vec<Person>,
    report: &mut Report,
) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..options.pairs {
        let mut pair =
            [Side::new(stage, &[]).await?, Side::new(stage, &[("COUNTERS_ENABLED", "false")]).await?];
        // One client: where several share the cores with what they ask, nobody sees so small a difference.
        people = by_turns(stage, (TURNS, TURN), 1, &mut pair, people).await?;
        pairs.push(pair.map(|side| (side.times, side.worked)));
    }
    let label = format!("{}, counters", stage.name());
    let mut slower = |what: &str, figure: &dyn Fn(&(Times, Duration)) -> f64| {
        let more: Vec<f64> =
            pairs.iter().map(|[with, without]| 100.0 * (figure(with) / figure(without) - 1.0)).collect();
        let (mean, error) = mean_and_error(&more);
        report.check(format!("{label}: {what} (± {error:.1})"), mean, "%", Goal::AtMost(COUNTERS));
    };
    for ask in READS.into_iter().chain([Ask::Write]) {
        slower(&format!("{} slower, p50", ask.name()), &|(times, _)| spread(times, ask)[0]);
    }
    slower("all slower, mean", &|(times, _)| mean(times, |_| true).1);
    slower("more processor time", &|(times, worked)| worked.as_secs_f64() / mean(times, |_| true).0);
    Ok(())
}

/// The mean of some values, and its standard error.
#[expect(clippy::cast_precision_loss, reason = "figures")]
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}
