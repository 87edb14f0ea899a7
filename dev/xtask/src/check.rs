//! `cargo xtask check`: format, lints and unit tests.

use anyhow::Result;

use crate::cargo;

pub(crate) fn run() -> Result<()> {
    cargo::run(["fmt", "--all", "--check"])?;
    cargo::run(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo::run(["test", "--workspace", "--lib", "--bins"])?;
    println!("==> all checks passed");
    Ok(())
}
