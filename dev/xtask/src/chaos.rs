//! `cargo xtask chaos`: kills, freezes and cuts what there is, and counts what comes of the work. With the name of a
//! trouble: only that goes wrong, and what callers see of it is measured.

use std::process::Command;

use anyhow::Result;

use crate::{
    cargo,
    install::{self, Server},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One trouble only: redis, database, disk, overload, or a rolling restart.
    #[arg(value_parser = ["redis", "database", "disk", "overload", "rolling"])]
    trouble: Option<String>,
    /// Makes the plan of faults; the same seed makes the same plan.
    #[arg(long, default_value = "1")]
    seed: String,
    /// How long things go wrong.
    #[arg(long, default_value = "2")]
    minutes: String,
    /// How long there are too many calls, with `overload`.
    #[arg(long, default_value = "60")]
    seconds: String,
    /// sqlite, postgres or both.
    #[arg(long, default_value = "both")]
    database: String,
    /// Leave logs and data behind, also when all is well.
    #[arg(long)]
    keep: bool,
}

/// Debug builds, as the tests have them, since what is proved does not depend on speed; but how soon those are refused
/// for whom there is no room does.
pub(crate) fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    let binaries = match args.trouble.as_deref() {
        Some("overload") => cargo::build_release()?,
        _ => {
            cargo::run(["build", "--workspace", "--bins"])?;
            cargo::binaries("debug")?
        }
    };
    let mut command = Command::new(binaries.join("bench"));
    match &args.trouble {
        Some(name) => command.args(["trouble", name, "--seconds", &args.seconds]),
        None => command.args(["chaos", "--seed", &args.seed, "--minutes", &args.minutes]),
    };
    command.args(["--database", &args.database]);
    if args.keep {
        command.arg("--keep");
    }
    cargo::succeed(&mut command)
}
