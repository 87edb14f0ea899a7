//! `cargo xtask test`: the whole suite. Each suite runs on SQLite and on PostgreSQL by itself.

use anyhow::Result;

use crate::{
    cargo, conformance,
    install::{self, Server},
    python,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these crates.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// What `cargo test` takes after `--`: names of tests, `--nocapture`, …
    #[arg(last = true)]
    rest: Vec<String>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    // Binaries and tests together, so that dependencies are built once, with one set of features.
    cargo::run(["build", "--workspace", "--bins", "--tests"])?;
    let which = match args.packages.as_slice() {
        [] => vec!["--workspace".to_owned()],
        some => some.iter().map(|name| format!("--package={name}")).collect(),
    };
    let mut command = cargo::command(["test"].map(String::from).into_iter().chain(which));
    command.arg("--").args(&args.rest).env("PARKADE_BINARIES", cargo::binaries("debug")?);
    println!("==> cargo test, on SQLite and on PostgreSQL");
    cargo::succeed(&mut command)?;
    if args.packages.is_empty() && args.rest.is_empty() {
        if python::is_possible() {
            conformance::run(&conformance::Args::default()).await?;
        } else {
            println!("==> schemathesis is skipped: python3 with venv is missing (Debian: python3-venv)");
        }
    }
    println!("==> all tests passed");
    Ok(())
}
