//! `cargo xtask test`: runs all tests. Most of them run on SQLite and on PostgreSQL.

use anyhow::Result;

use crate::{
    cargo, conformance,
    install::{self, Server},
    python,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test only these crates.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Names of tests and other arguments of the test programs.
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    // Together, so that dependencies are built once, with one set of features.
    cargo::run(["build", "--workspace", "--bins", "--tests"])?;
    let packages = match args.packages.as_slice() {
        [] => vec!["--workspace".to_owned()],
        names => names.iter().map(|name| format!("--package={name}")).collect(),
    };
    let mut command = cargo::command(["test"].map(String::from).into_iter().chain(packages));
    command.arg("--").args(&args.arguments).env("PARKADE_BINARIES", cargo::binaries("debug")?);
    println!("==> cargo test");
    cargo::succeed(&mut command)?;
    if args.packages.is_empty() && args.arguments.is_empty() {
        if python::is_available() {
            conformance::run(&conformance::Args::default()).await?;
        } else {
            println!(
                "==> schemathesis is skipped, because python3 with venv is missing (Debian: python3-venv)"
            );
        }
    }
    println!("==> all tests passed");
    Ok(())
}
