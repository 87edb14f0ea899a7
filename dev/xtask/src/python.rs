//! Tools that come as Python packages, each set in an environment of its own below the target folder.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

use crate::cargo;

/// Whether such tools can be had here at all.
pub(crate) fn is_possible() -> bool {
    let python =
        Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
    python.is_ok_and(|status| status.success())
}

/// The folder `name` with the programs of these packages, which are pinned and installed when it is not there yet.
///
/// # Errors
/// When Python is missing or a package cannot be had.
pub(crate) fn programs(name: &str, packages: &[&str]) -> Result<PathBuf> {
    ensure!(is_possible(), "python3 with venv is missing; on Debian: apt-get install python3-venv");
    let target = cargo::binaries("debug")?;
    let folder = target.parent().unwrap_or(&target).join(name);
    let (programs, whole) = (folder.join("bin"), folder.join("installed"));
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&whole).is_ok_and(|there| there == wanted) {
        return Ok(programs);
    }
    println!("==> installing {}", packages.join(" "));
    cargo::succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    cargo::succeed(Command::new(programs.join("pip")).args(["install", "-q"]).args(packages))?;
    std::fs::write(whole, wanted)?;
    Ok(programs)
}
