//! `cargo xtask`: everything a developer does with this repository, one command each.
#![expect(clippy::print_stdout, reason = "this program talks to the person who runs it")]

mod bench;
mod cargo;
mod chaos;
mod check;
mod conformance;
mod demo;
mod deny;
mod deploy;
mod fuzz;
mod install;
mod mails;
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
    /// Run the whole product on this machine and show the main job step by step.
    Demo(demo::Args),
    /// Run every test, on SQLite and on PostgreSQL.
    Test(test::Args),
    /// Check format, lints and unit tests: the quick look before a commit.
    Check,
    /// Let schemathesis compare the running API with its OpenAPI document.
    Conformance(conformance::Args),
    /// Check the files for Docker, systemd and supervisor, and the scripts.
    DeployCheck,
    /// Prove the rules of the architecture.
    Rules,
    /// Check licences, bans and sources of what is compiled in.
    Deny,
    /// Throw bytes at what takes strangers' bytes apart.
    Fuzz(fuzz::Args),
    /// Fill an empty database with simulated traffic.
    Seed(seed::Args),
    /// Write every mail, filled in with samples, as files to look at.
    Mails(mails::Args),
    /// Kill, freeze and cut what there is, and count what comes of the work.
    Chaos(chaos::Args),
    /// Measure; without a name, `bench` lists what it can measure.
    Bench(bench::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => demo::run(args).await,
        Command::Test(args) => test::run(&args).await,
        Command::Check => check::run(),
        Command::Conformance(args) => conformance::run(&args).await,
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
            eprintln!("error: {}", causes.join("\n  because: "));
            ExitCode::FAILURE
        }
    }
}
