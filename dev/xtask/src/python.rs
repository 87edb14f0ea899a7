//! Tools from Python packages, installed in virtual environments in the target folder.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

use crate::cargo;

/// Whether Python can create virtual environments.
pub(crate) fn is_available() -> bool {
    let python =
        Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
    python.is_ok_and(|status| status.success())
}

/// `PATH` with another folder before all others.
pub(crate) fn path_with(folder: PathBuf) -> OsString {
    let mut path = folder.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Installs these pinned packages in the environment `name` if needed, and returns the folder with their programs.
pub(crate) fn programs(name: &str, packages: &[&str]) -> Result<PathBuf> {
    ensure!(is_available(), "python3 with venv is missing; on Debian: apt-get install python3-venv");
    let target = cargo::binaries("debug")?;
    let folder = target.parent().unwrap_or(&target).join(name);
    let (programs, installed) = (folder.join("bin"), folder.join("installed"));
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&installed).is_ok_and(|packages| packages == wanted) {
        return Ok(programs);
    }
    println!("==> installing {}", packages.join(" "));
    cargo::succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    cargo::succeed(Command::new(programs.join("pip")).args(["install", "-q"]).args(packages))?;
    std::fs::write(installed, wanted)?;
    Ok(programs)
}
