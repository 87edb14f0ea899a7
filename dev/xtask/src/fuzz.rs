//! `cargo xtask fuzz`: runs the targets of the crate `fuzz` with libFuzzer.

use std::{fs, path::Path, process::Command, thread};

use anyhow::{Context, Result, anyhow, ensure};

use crate::cargo;

const TARGETS: [&str; 5] = ["csv_cell", "cursor", "range", "settings", "times"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this target.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
    /// Seconds per target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = cargo::workspace();
    // The whole workspace, so that dependencies have the same features as in other builds. The wrapper instruments only our
    // crates.
    let mut build = cargo::command(["build", "--workspace", "--bin", "fuzz", "--features", "fuzz/libfuzzer"]);
    cargo::succeed(build.env("RUSTC_WORKSPACE_WRAPPER", root.join("dev/fuzz/instrument")))?;
    let program = &cargo::binaries("debug")?.join("fuzz");
    let folder = &root.join("target/fuzz");
    let chosen = |target: &&str| args.target.as_deref().is_none_or(|only| only == *target);
    let targets: Vec<&'static str> = TARGETS.into_iter().filter(chosen).collect();
    println!("\n{:<10} {:>12} {:>10} {:>10}", "target", "inputs", "per second", "branches");
    // One on each core.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for some in targets.chunks(cores) {
        let rows: Vec<Result<String>> = thread::scope(|scope| {
            let start = |target: &&'static str| {
                let target = *target;
                scope.spawn(move || one(program, root, folder, target, args.seconds))
            };
            let running: Vec<_> = some.iter().map(start).collect();
            running.into_iter().map(|run| run.join().map_err(|_| anyhow!("a thread panicked"))?).collect()
        });
        for row in rows {
            println!("{}", row?);
        }
    }
    Ok(())
}

/// Runs a target, starting from its seeds and from the corpus of earlier runs. Returns a row of the results.
fn one(program: &Path, root: &Path, folder: &Path, target: &str, seconds: u32) -> Result<String> {
    let (corpus, findings) = (folder.join(target), folder.join(format!("found-{target}-")));
    fs::create_dir_all(&corpus)?;
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", target).arg(&corpus).arg(root.join("dev/fuzz/seeds").join(target)).args([
        &format!("-max_total_time={seconds}"),
        &format!("-artifact_prefix={}", findings.display()),
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
        "{target} failed; the input is in {}*; add it to dev/fuzz/seeds/{target} with the fix\n{log}",
        findings.display()
    );
    let runs: u64 =
        number_after(&log, "stat::number_of_executed_units:").context("libFuzzer printed no statistics")?;
    let branches: u64 =
        number_after(&log, " cov:").context("libFuzzer reported no coverage; is the crate instrumented?")?;
    Ok(format!("{target:<10} {runs:>12} {:>10} {branches:>10}", runs / u64::from(seconds.max(1))))
}

/// The number after the last occurrence of `name`.
fn number_after(log: &str, name: &str) -> Option<u64> {
    log.rsplit_once(name)?.1.split_whitespace().next()?.parse().ok()
}
