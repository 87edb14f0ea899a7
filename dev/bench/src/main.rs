//! `bench NAME` runs one benchmark against servers of its own, prints a table and can write it as JSON.
//!
//! Run it with `cargo xtask bench NAME`, which builds the release binaries that are measured.

#![expect(clippy::print_stdout, reason = "the results go to standard output")]

mod api;
mod backlog;
mod baseline;
mod booking;
mod cache;
mod events;
mod export;
mod jobs;
mod kinds;
mod load;
mod stream;
mod traffic;
mod worker;

use std::path::PathBuf;

use anyhow::ensure;
use bench::{report::Report, testbed::ENGINES};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures release builds on PostgreSQL and SQLite")]
struct Cli {
    /// Also write the results to this file, as JSON.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Run(Benchmark),
    #[command(flatten)]
    Serve(Helper),
}

#[derive(Subcommand)]
enum Benchmark {
    /// How soon jobs start, and how many are done per second.
    Jobs(jobs::Options),
    /// How long a large export takes, compared with a plain copy of the same rows.
    Export(export::Options),
    /// Bookings per second, compared with the same statements run by pgbench.
    Booking(booking::Options),
    /// Response times and throughput, compared with an empty axum server and plain Redis.
    Api(api::Options),
    /// What the cache, more processes and the counters change in response times and database load.
    Cache(cache::Options),
    /// How soon followers see progress, and how soon a cancelled job stops.
    Events(events::Options),
}

/// Processes that the benchmarks start.
#[derive(Subcommand)]
enum Helper {
    /// The worker of `jobs` and `events`.
    #[command(hide = true)]
    Worker,
    /// The server that `api` is compared with.
    #[command(hide = true)]
    Baseline(baseline::Options),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::platform::telemetry::exit_code(run(Cli::parse()).await)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(Helper::Worker) => worker::run().await,
        Command::Serve(Helper::Baseline(options)) => baseline::serve(&options).await,
        Command::Run(benchmark) => measure(&benchmark, cli.json).await,
    }
}

async fn measure(benchmark: &Benchmark, json: Option<PathBuf>) -> anyhow::Result<()> {
    let mut report = Report::default();
    let measured = on_all_databases(benchmark, &mut report).await;
    // Results taken before a failure are printed too.
    println!("{report}");
    if let Some(path) = json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report)?)?;
        println!("results written to {}", path.display());
    }
    measured?;
    let broken = report.broken();
    ensure!(broken.is_empty(), "broken requirements:\n  {}", broken.join("\n  "));
    Ok(())
}

async fn on_all_databases(benchmark: &Benchmark, report: &mut Report) -> anyhow::Result<()> {
    for engine in ENGINES {
        match benchmark {
            Benchmark::Jobs(options) => jobs::measure(engine, options, report).await?,
            Benchmark::Export(options) => export::measure(engine, options, report).await?,
            Benchmark::Booking(options) => booking::measure(engine, options, report).await?,
            Benchmark::Api(options) => api::measure(engine, options, report).await?,
            Benchmark::Cache(options) => cache::measure(engine, options, report).await?,
            Benchmark::Events(options) => events::measure(engine, options, report).await?,
        }
    }
    Ok(())
}
