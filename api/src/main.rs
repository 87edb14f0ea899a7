//! `parkade-api`: the command line of the API.

mod cli;
mod drain;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    cli::Cli::parse().run().await
}
