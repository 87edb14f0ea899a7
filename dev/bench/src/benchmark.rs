//! The benchmarks by name, and running one of them.

use std::path::Path;

use bench::{report::Report, testbed::ENGINES};
use clap::Subcommand;

use crate::{api, audit, booking, cache, events, export, instructions, jobs, pages, peer, timing};

#[derive(Subcommand)]
pub enum Benchmark {
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
    /// Instructions of the API for a request, counted by valgrind.
    Instructions(instructions::Options),
    /// Response times of the pages for operators, over a year of data.
    Pages(pages::Options),
    /// How fast the audit table is linked and verified.
    Audit(audit::Options),
    /// Whether response times tell which mail addresses have an account.
    Timing(timing::Options),
    /// Parkade beside a plain system in Python with the same rows, on PostgreSQL.
    Peer(peer::Options),
}

/// Prints the results, and writes them to a file if wanted.
pub fn print(report: &Report, json: Option<&Path>) -> anyhow::Result<()> {
    println!("{report}");
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(report)?)?;
        println!("results written to {}", path.display());
    }
    Ok(())
}

/// Runs one benchmark, on both databases where it runs on both.
pub async fn measure(benchmark: &Benchmark, report: &mut Report) -> anyhow::Result<()> {
    if let Benchmark::Peer(options) = benchmark {
        return peer::measure(options, report).await;
    }
    for engine in ENGINES {
        match benchmark {
            Benchmark::Jobs(options) => jobs::measure(engine, options, report).await?,
            Benchmark::Export(options) => export::measure(engine, options, report).await?,
            Benchmark::Booking(options) => booking::measure(engine, options, report).await?,
            Benchmark::Api(options) => api::measure(engine, options, report).await?,
            Benchmark::Cache(options) => cache::measure(engine, options, report).await?,
            Benchmark::Events(options) => events::measure(engine, options, report).await?,
            Benchmark::Instructions(options) => instructions::measure(engine, options, report).await?,
            Benchmark::Pages(options) => pages::measure(engine, options, report).await?,
            Benchmark::Audit(options) => audit::measure(engine, options, report).await?,
            Benchmark::Timing(options) => timing::measure(engine, options, report).await?,
            // It has no database to choose.
            Benchmark::Peer(_) => {}
        }
    }
    Ok(())
}
