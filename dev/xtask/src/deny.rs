//! `cargo xtask deny`: checks the licences and sources of all dependencies with cargo-deny and `deny.toml`.

use std::process::Command;

use anyhow::Result;

use crate::cargo;

/// Pinned, because a new release may interpret `deny.toml` differently.
const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    let target = cargo::binaries("debug")?;
    let folder = target.parent().unwrap_or(&target).join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        println!("==> installing cargo-deny {VERSION}");
        // A debug build without debug information, because it runs for a second only.
        let package = format!("cargo-deny@{VERSION}");
        let install =
            ["install", "--quiet", "--locked", "--debug", "--no-default-features", &package, "--root"];
        let mut install = cargo::command(install);
        install.env("CARGO_TARGET_DIR", folder.join("build")).env("CARGO_PROFILE_DEV_DEBUG", "false");
        cargo::succeed(install.arg(&folder))?;
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
