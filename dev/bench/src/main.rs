//! `bench NAME`: runs a benchmark on real servers of its own, prints a table and writes the figures.
//!
//! Run it through `cargo xtask bench NAME`, which builds the release binaries that are measured.

#![expect(clippy::print_stdout, reason = "the figures go there")]

mod api;
mod backlog;
mod booking;
mod cache;
mod chaos;
mod empty;
mod events;
mod export;
mod http;
mod jobs;
mod load;
mod people;
mod report;
mod stage;
mod stream;
mod trouble;
mod visit;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{report::Report, stage::ENGINES};

#[derive(Parser)]
struct Cli {
    /// Write the figures there as JSON, too.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// How fast jobs start, and how many a second are done.
    Jobs(jobs::Options),
    /// How fast a big export is, beside a bare copy of the same rows.
    Export(export::Options),
    /// How many bookings a second, beside the same statements without us.
    Booking(booking::Options),
    /// How fast answers are, beside a bare axum server and bare Redis.
    Api(api::Options),
    /// What the cache, more processes and the counters do to answers and to the database.
    Cache(cache::Options),
    /// How soon progress is seen by those who follow it, and a cancelled job stops.
    Events(events::Options),
    /// Not a benchmark: kills, freezes, cuts and empties what there is, and counts what comes of the work.
    Chaos(chaos::Options),
    /// Not a benchmark: one thing goes wrong, and what callers see is measured.
    Trouble(trouble::Options),
    /// Not a benchmark: the worker process of `chaos`.
    #[command(hide = true)]
    ChaosWorker(chaos::kinds::Options),
    /// Not a benchmark: the worker process of `jobs` and `events`.
    #[command(hide = true)]
    Worker,
    /// Not a benchmark: the server of `api` that does nothing.
    #[command(hide = true)]
    EmptyServer(empty::Options),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::platform::telemetry::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Bench::Worker = cli.bench {
        return jobs::worker().await;
    }
    if let Bench::ChaosWorker(options) = &cli.bench {
        return chaos::kinds::worker(options).await;
    }
    if let Bench::EmptyServer(options) = cli.bench {
        return empty::serve(&options).await;
    }
    let mut report = Report::default();
    let measured = measure(&cli.bench, &mut report).await;
    // Also what was measured before something went wrong.
    println!("{report}");
    if let Some(path) = cli.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report)?)?;
        println!("figures written to {}", path.display());
    }
    measured
}

async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    if let Bench::Chaos(options) = bench {
        return chaos::run(options, report).await;
    }
    if let Bench::Trouble(options) = bench {
        return trouble::run(options, report).await;
    }
    for engine in ENGINES {
        match bench {
            Bench::Jobs(options) => jobs::measure(engine, options, report).await?,
            Bench::Export(options) => export::measure(engine, options, report).await?,
            Bench::Booking(options) => booking::measure(engine, options, report).await?,
            Bench::Api(options) => api::measure(engine, options, report).await?,
            Bench::Cache(options) => cache::measure(engine, options, report).await?,
            Bench::Events(options) => events::measure(engine, options, report).await?,
            Bench::Worker
            | Bench::EmptyServer(_)
            | Bench::Chaos(_)
            | Bench::ChaosWorker(_)
            | Bench::Trouble(_) => {}
        }
    }
    Ok(())
}
