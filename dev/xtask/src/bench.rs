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
    /// What to measure.
    name: Option<String>,
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// More for the benchmark itself.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    let binaries = cargo::build_release()?;
    let mut command = Command::new(binaries.join("bench"));
    match &args.name {
        Some(name) => command.arg(name),
        None => command.arg("--help"),
    };
    if let Some(file) = &args.json {
        command.arg("--json").arg(file);
    }
    cargo::succeed(command.args(&args.rest).env("PARKADE_BINARIES", binaries))
}
