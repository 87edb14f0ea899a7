//! `parkade-api`: the command line of the API.

mod cli;

use clap::Parser;

/// Holds less memory after a load than the allocator of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    shared::platform::telemetry::exit_code(cli::Cli::parse().run().await)
}
