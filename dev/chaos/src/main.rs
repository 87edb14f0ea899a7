//! `chaos` injects faults into real processes and checks that nothing is lost.
//!
//! Run it with `cargo xtask chaos`, which builds the binaries that are tested.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "results and failures go to the terminal")]

mod client;
mod fixtures;
mod random;
mod scenarios;

use bench::report::Report;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Inject many random faults, then check every job, mail and file.
    Random(random::Options),
    /// Inject one kind of fault under a steady load, and measure what callers see.
    Scenario(scenarios::Options),
    /// The worker process of `random`.
    #[command(hide = true)]
    Worker(random::worker::Options),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::platform::telemetry::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let mut report = Report::default();
    let done = match Cli::parse().command {
        Command::Worker(options) => return random::worker::run(&options).await,
        Command::Random(options) => random::run(&options, &mut report).await,
        Command::Scenario(options) => scenarios::run(&options, &mut report).await,
    };
    // Results taken before a failure are printed too.
    println!("{report}");
    done
}
