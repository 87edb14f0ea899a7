//! `parkade-api`: the command line of the API.

mod cli;
mod drain;

use clap::Parser;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::error::exit(cli::Cli::parse().run().await)
}
