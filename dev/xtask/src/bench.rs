//! `cargo xtask bench`: runs the crate `bench` on release builds.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{
    cargo,
    install::{self, Server},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmark to run; without a name, they are listed.
    name: Option<String>,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Options of the benchmark.
    #[arg(last = true)]
    options: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    let binaries = cargo::build_release("bench")?;
    let mut command = Command::new(binaries.join("bench"));
    command.arg(args.name.as_deref().unwrap_or("--help"));
    if let Some(file) = &args.json {
        command.arg("--json").arg(file);
    }
    cargo::succeed(command.args(&args.options))
}
