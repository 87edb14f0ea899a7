//! `cargo xtask deny`: licences, bans and sources of everything that is compiled in, by the rules of `deny.toml`.

use std::process::Command;

use anyhow::Result;

use crate::cargo;

/// Pinned: a new release may read the rules differently.
const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    let target = cargo::binaries("debug")?;
    let folder = target.parent().unwrap_or(&target).join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        println!("==> installing cargo-deny {VERSION}");
        // A debug build: it is compiled once and runs for a second.
        let wanted = format!("cargo-deny@{VERSION}");
        let install =
            ["install", "--quiet", "--locked", "--debug", "--no-default-features", &wanted, "--root"];
        cargo::succeed(cargo::command(install).arg(&folder).env("CARGO_TARGET_DIR", folder.join("build")))?;
        std::fs::remove_dir_all(folder.join("build"))?;
    }
    cargo::succeed(Command::new(program).args([
        "--log-level",
        "error",
        "check",
        "licenses",
        "bans",
        "sources",
    ]))
}
