//! `parkade-api`: the command line of the API.

mod cli;

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::platform::telemetry::exit_code(cli::Cli::parse().run().await)
}
