//! `cargo xtask fuzz`: the targets of the crate `fuzz` under libFuzzer, a while each.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::cargo;

const TARGETS: [&str; 5] = ["csv_cell", "cursor", "range", "settings", "times"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
    /// How long each one runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = cargo::workspace();
    // As the whole workspace, so that dependencies are those of every other build; the wrapper instruments our crates only.
    let mut build = cargo::command(["build", "--workspace", "--bin", "fuzz", "--features", "fuzz/libfuzzer"]);
    cargo::succeed(build.env("RUSTC_WORKSPACE_WRAPPER", root.join("dev/fuzz/instrument")))?;
    let program = cargo::binaries("debug")?.join("fuzz");
    let folder = root.join("target/fuzz");
    println!("\n{:<10} {:>12} {:>10} {:>10}", "target", "inputs", "a second", "branches");
    for target in TARGETS {
        if args.target.as_deref().is_none_or(|only| only == target) {
            one(&program, root, &folder, target, args.seconds)?;
        }
    }
    Ok(())
}

/// Runs one target from its seeds and from what earlier runs here found worth keeping.
fn one(program: &Path, root: &Path, folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let (corpus, found) = (folder.join(target), folder.join(format!("found-{target}-")));
    fs::create_dir_all(&corpus)?;
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", target).arg(&corpus).arg(root.join("dev/fuzz/seeds").join(target)).args([
        &format!("-max_total_time={seconds}"),
        &format!("-artifact_prefix={}", found.display()),
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=1",
    ]);
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{target} does not hold for an input, which is beside {}; add it to fuzz/seeds/{target} when it is mended\n{log}",
        found.display()
    );
    let runs: u64 = figure(&log, "stat::number_of_executed_units:").context("libFuzzer told no figures")?;
    let branches: u64 =
        figure(&log, " cov:").context("libFuzzer saw no branches: is the crate instrumented?")?;
    println!("{target:<10} {runs:>12} {:>10} {branches:>10}", runs / u64::from(seconds.max(1)));
    Ok(())
}

/// The number behind the last `name` of the log.
fn figure(log: &str, name: &str) -> Option<u64> {
    log.rsplit_once(name)?.1.split_whitespace().next()?.parse().ok()
}
