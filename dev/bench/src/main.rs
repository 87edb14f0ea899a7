//! `bench NAME` runs one benchmark against servers of its own, prints a table and can write it as JSON.
//!
//! Run it with `cargo xtask bench NAME`, which builds the release binaries that are measured.

#![expect(clippy::print_stdout, reason = "the results go to standard output")]

mod all;
mod api;
mod audit;
mod backlog;
mod baseline;
mod benchmark;
mod booking;
mod cache;
mod events;
mod export;
mod instructions;
mod jobs;
mod kinds;
mod load;
mod pages;
mod peer;
mod stays;
mod stream;
mod timing;
mod traffic;
mod worker;

use std::path::PathBuf;

use anyhow::ensure;
use bench::report::Report;
use clap::{Parser, Subcommand};

use crate::benchmark::{Benchmark, measure, print};

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
    /// All of them, one after the other, with modest sizes.
    All(all::Options),
    #[command(flatten)]
    Serve(Helper),
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
        Command::Run(benchmark) => {
            let mut report = Report::default();
            let measured = measure(&benchmark, &mut report).await;
            // Results taken before a failure are printed too.
            print(&report, cli.json.as_deref())?;
            measured?;
            let broken = report.broken();
            ensure!(broken.is_empty(), "broken requirements:\n  {}", broken.join("\n  "));
            Ok(())
        }
        Command::All(options) => all::run(&options, cli.json.as_deref()).await,
    }
}
