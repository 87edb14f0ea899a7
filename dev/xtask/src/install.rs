//! Installs the servers that a command needs and the machine lacks, with apt.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::cargo;

/// A server that must be on this machine; it is started privately, never used as a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Redis,
    Postgres,
}

impl Server {
    /// Its package on Debian and Ubuntu.
    const fn package(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Postgres => "postgresql",
        }
    }

    /// What must be found, all in one folder.
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["redis-server"],
            Self::Postgres => &["initdb", "postgres", "psql"],
        }
    }

    fn present(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if self == Self::Postgres {
            // Debian keeps the server out of PATH, in a folder for each version.
            let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
            folders.extend(versions.map(|version| version.path().join("bin")));
        }
        folders.iter().any(|folder| self.programs().iter().all(|program| folder.join(program).is_file()))
    }
}

/// Installs those of `servers` that are missing, and says so.
///
/// # Errors
/// Without apt or the right to use it, naming the packages; or when apt fails.
pub(crate) fn ensure(servers: &[Server]) -> Result<()> {
    let missing: Vec<Server> = servers.iter().copied().filter(|server| !server.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|server| server.package()).collect();
    let names = packages.join(" ");
    if !on_path("apt-get") {
        bail!(
            "missing: {names}. There is no apt-get here: install what your system calls it, and run this again"
        );
    }
    let Some(rights) = rights()? else {
        bail!(
            "missing: {names}. Neither root nor sudo here: have `apt-get install {names}` run, then run this again"
        );
    };
    println!(
        "==> missing on this machine: {names}; installing with {}",
        [rights, &["apt-get"]].concat().join(" ")
    );
    cargo::succeed(&mut apt(rights, &["update", "-q"]))?;
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    cargo::succeed(&mut apt(rights, &[&install[..], &packages].concat()))?;
    match missing.iter().find(|server| !server.present()) {
        Some(server) => bail!("{} is installed, yet {:?} not found", server.package(), server.programs()),
        None => Ok(()),
    }
}

fn apt(rights: &[&str], args: &[&str]) -> Command {
    let words = [rights, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// What goes in front of a command to run it as root; `None` when that is impossible.
fn rights() -> Result<Option<&'static [&'static str]>> {
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        return Ok(Some(&[]));
    }
    if !on_path("sudo") {
        return Ok(None);
    }
    // Without a password, or by asking the person at the terminal for it.
    let quiet = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status()?;
    let asks = std::io::IsTerminal::is_terminal(&std::io::stdin());
    Ok((quiet.success() || asks).then_some(&["sudo"]))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join(program).is_file())
}
