//! `cargo xtask seed`: fills an empty database with simulated traffic, using a release build.

use std::process::Command;

use anyhow::Result;

use crate::cargo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The database; by default `DATABASE_URL` of the environment or `.env`.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// small: 1 lot of 50 spots, demo: 20 of 300, large: 200 of 500.
    #[arg(long, default_value = "small", value_parser = ["small", "demo", "large"])]
    size: String,
    /// How far back the data goes.
    #[arg(long, default_value = "month", value_parser = ["day", "month", "year"])]
    span: String,
    /// Additional reservations of one heavy user.
    #[arg(long, default_value_t = 0)]
    heavy: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    cargo::run(["build", "--release", "-p", "api"])?;
    let mut command = Command::new(cargo::binaries("release")?.join("parkade-api"));
    command.args(["seed", "--size", &args.size, "--span", &args.span, "--heavy", &args.heavy.to_string()]);
    if let Some(url) = &args.database {
        command.env("DATABASE_URL", url);
    }
    println!("==> loading a {} of {} data", args.span, args.size);
    cargo::succeed(&mut command)
}
