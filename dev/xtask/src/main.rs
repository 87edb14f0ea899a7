//! `cargo xtask`: one command for everything that developers do with this repository.
#![expect(clippy::print_stdout, reason = "this is a command-line program")]

mod bench;
mod cargo;
mod chaos;
mod check;
mod clients;
mod conformance;
mod demo;
mod deny;
mod deploy;
mod deployment;
mod fuzz;
mod install;
mod mails;
mod node;
mod pages;
mod python;
mod rules;
mod seed;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Parkade's developer commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole product on this machine and walk through the main use case.
    Demo(demo::Args),
    /// Run all tests, on SQLite and on PostgreSQL.
    Test(test::Args),
    /// Check format, lints and unit tests; run this before a commit.
    Check,
    /// Compare the running API with its OpenAPI document, using schemathesis.
    Conformance(conformance::Args),
    /// Lint the OpenAPI document, and do the main job with clients generated from it.
    Clients,
    /// Use the pages in a real browser: every flow, and every page.
    Pages(pages::Args),
    /// Check the files for Docker, systemd and supervisor, and the shell scripts.
    DeployCheck,
    /// Prove the rules of the architecture.
    Rules,
    /// Check the licences and sources of all dependencies.
    Deny,
    /// Fuzz the parsers of untrusted input.
    Fuzz(fuzz::Args),
    /// Fill an empty database with simulated traffic.
    Seed(seed::Args),
    /// Write every mail with sample data to files.
    Mails(mails::Args),
    /// Inject faults into real processes and check that nothing is lost.
    Chaos(chaos::Args),
    /// Run a benchmark.
    Bench(bench::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(args).await,
        Command::Test(args) => test::run(&args).await,
        Command::Check => check::run(),
        Command::Conformance(args) => conformance::run(&args).await,
        Command::Clients => clients::run().await,
        Command::Pages(args) => pages::run(&args).await,
        Command::DeployCheck => deploy::run(),
        Command::Rules => rules::run(),
        Command::Deny => deny::run(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Seed(args) => seed::run(&args),
        Command::Mails(args) => mails::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Chaos(args) => chaos::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("error: {}", causes.join("\n  caused by: "));
            ExitCode::FAILURE
        }
    }
}
