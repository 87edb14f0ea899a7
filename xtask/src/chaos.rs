//! `cargo xtask chaos`: kills, freezes and cuts what there is, and counts what comes of the work.

use std::process::Command;

use anyhow::Result;

use crate::{
    cargo,
    install::{self, Server},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Makes the plan of faults; the same seed makes the same plan.
    #[arg(long, default_value = "1")]
    seed: String,
    /// How long things go wrong.
    #[arg(long, default_value = "2")]
    minutes: String,
    /// sqlite, postgres or both.
    #[arg(long, default_value = "both")]
    database: String,
    /// Leave logs and data behind, also when all is well.
    #[arg(long)]
    keep: bool,
}

/// Debug builds, as the tests have them: what is proved does not depend on speed.
pub(crate) fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    cargo::run(["build", "--workspace", "--bins"])?;
    let mut command = Command::new(cargo::binaries("debug")?.join("bench"));
    command.args(["chaos", "--seed", &args.seed, "--minutes", &args.minutes, "--database", &args.database]);
    if args.keep {
        command.arg("--keep");
    }
    cargo::succeed(&mut command)
}
