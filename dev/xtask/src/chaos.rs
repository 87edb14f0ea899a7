//! `cargo xtask chaos`: runs the crate `chaos` on built binaries.

use std::process::Command;

use anyhow::Result;

use crate::{
    cargo,
    install::{self, Server},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run one scenario instead of random faults.
    #[arg(value_parser = ["redis", "database", "failover", "disk", "overload", "rolling"])]
    scenario: Option<String>,
    /// Determines the random faults and their times.
    #[arg(long, default_value = "1")]
    seed: String,
    /// How long random faults are injected.
    #[arg(long, default_value = "2")]
    minutes: String,
    /// How long the load is too high, with `overload`.
    #[arg(long, default_value = "60")]
    seconds: String,
    /// sqlite, postgres or both.
    #[arg(long, default_value = "both")]
    database: String,
    /// Keep logs and data even if everything passes.
    #[arg(long)]
    keep: bool,
}

/// Uses debug builds like the tests do, except for `overload`, whose requirements depend on the speed.
pub(crate) fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    let binaries = match args.scenario.as_deref() {
        Some("overload") => cargo::build_release("chaos")?,
        _ => {
            cargo::run(["build", "--workspace", "--bins"])?;
            cargo::binaries("debug")?
        }
    };
    let mut command = Command::new(binaries.join("chaos"));
    match &args.scenario {
        Some(name) => command.args(["scenario", name, "--seconds", &args.seconds]),
        None => command.args(["random", "--seed", &args.seed, "--minutes", &args.minutes]),
    };
    command.args(["--database", &args.database]);
    if args.keep {
        command.arg("--keep");
    }
    cargo::succeed(&mut command)
}
