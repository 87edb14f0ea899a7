//! Installs missing servers with apt.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::cargo;

/// A server program that a command starts itself; a running service is never used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Redis,
    Postgres,
}

impl Server {
    /// The package on Debian and Ubuntu.
    const fn package(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Postgres => "postgresql",
        }
    }

    /// The programs that must exist in one folder.
    const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["redis-server"],
            Self::Postgres => &["initdb", "postgres", "psql"],
        }
    }

    fn is_installed(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if self == Self::Postgres {
            // Debian installs the server outside PATH, in one folder per version.
            let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
            folders.extend(versions.map(|version| version.path().join("bin")));
        }
        folders.iter().any(|folder| self.programs().iter().all(|program| folder.join(program).is_file()))
    }
}

/// Installs the missing ones of these servers.
pub(crate) fn ensure(servers: &[Server]) -> Result<()> {
    let missing: Vec<Server> = servers.iter().copied().filter(|server| !server.is_installed()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|server| server.package()).collect();
    let names = packages.join(" ");
    if !on_path("apt-get") {
        bail!(
            "missing: {names}; there is no apt-get, so install the packages of your system and run this again"
        );
    }
    let Some(prefix) = prefix()? else {
        bail!("missing: {names}; without root or sudo, ask for `apt-get install {names}` and run this again");
    };
    println!("==> installing {names} with {}", [prefix, &["apt-get"]].concat().join(" "));
    cargo::succeed(&mut apt(prefix, &["update", "-q"]))?;
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    cargo::succeed(&mut apt(prefix, &[&install[..], &packages].concat()))?;
    match missing.iter().find(|server| !server.is_installed()) {
        Some(server) => {
            bail!("{} was installed, but {:?} cannot be found", server.package(), server.programs())
        }
        None => Ok(()),
    }
}

fn apt(prefix: &[&str], args: &[&str]) -> Command {
    let words = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], args].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// The prefix that runs a command as root; `None` if that is impossible.
fn prefix() -> Result<Option<&'static [&'static str]>> {
    if std::fs::metadata("/proc/self")?.uid() == 0 {
        return Ok(Some(&[]));
    }
    if !on_path("sudo") {
        return Ok(None);
    }
    // Without a password, or with one entered at the terminal.
    let without_password = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status()?;
    let has_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    Ok((without_password.success() || has_terminal).then_some(&["sudo"]))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join(program).is_file())
}
