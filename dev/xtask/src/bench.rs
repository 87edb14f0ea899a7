//! `cargo xtask bench`: runs the crate `bench` on release builds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    cargo,
    install::{self, Server},
    python,
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
    let name = args.name.as_deref().unwrap_or("--help");
    // Packages that cannot be installed should be known before a long build.
    let python = if matches!(name, "peer" | "all") { Some(peer_python()?) } else { None };
    let binaries = cargo::build_release("bench")?;
    let mut command = Command::new(binaries.join("bench"));
    command.arg(name);
    if let Some(python) = python {
        command.arg("--python").arg(python);
    }
    if let Some(file) = &args.json {
        command.arg("--json").arg(file);
    }
    cargo::succeed(command.args(&args.options))
}

/// The Python with the packages of the system that `peer` compares Parkade with.
fn peer_python() -> Result<PathBuf> {
    let file = cargo::workspace().join("dev/bench/peer/requirements.txt");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let packages: Vec<&str> = text.lines().collect();
    Ok(python::programs("peer", &packages)?.join("python"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_package_of_the_peer_is_pinned() {
        let packages = include_str!("../../bench/peer/requirements.txt");
        assert!(packages.lines().count() > 10);
        for package in packages.lines() {
            assert!(package.split_once("==").is_some_and(|(_, version)| !version.is_empty()), "{package}");
        }
    }
}
