//! Runs cargo and other commands.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.ancestors().nth(2).unwrap_or(xtask)
}

/// A cargo command in the workspace, with the cargo that started this program.
pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(args);
    // `cargo run` sets these for this program. Build scripts that depend on them (the one of ring does) would run again,
    // with everything that depends on their crates, whenever a build is started from here and not from a shell.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
        command.env_remove(name);
    }
    command
}

/// Prints a cargo command, runs it, and fails if it does.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<()> {
    let mut command = command(args);
    println!("==> {}", shown(&command));
    succeed(&mut command)
}

/// Runs a command in this terminal, and fails if it does.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    ensure!(status.success(), "{} failed ({status})", shown(command));
    Ok(())
}

/// The standard output of a cargo command.
pub(crate) fn output(args: &[&str]) -> Result<String> {
    output_of(&mut command(args))
}

/// The standard output of a command; fails if it does.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed:\n{}", shown(command), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Names a folder with built programs. `.ci/run` sets it: it has built the whole workspace, and building single packages
/// would compile some dependencies again, with other features.
const BUILT: &str = "PARKADE_BINARIES";

/// Builds the product for a demo or a check, unless it has been built. Returns the folder with the binaries.
pub(crate) fn build_debug() -> Result<PathBuf> {
    if std::env::var_os(BUILT).is_none() {
        // Including xtask, so that shared dependencies have the same features as in other builds.
        run(["build", "-p", "api", "-p", "worker", "-p", "xtask"])?;
    }
    built()
}

/// The folder with the binaries of the last debug build.
pub(crate) fn built() -> Result<PathBuf> {
    std::env::var_os(BUILT).map_or_else(|| binaries("debug"), |folder| Ok(folder.into()))
}

/// Builds the product and this package for measurements. Returns the folder with the binaries.
pub(crate) fn build_release(package: &str) -> Result<PathBuf> {
    run(["build", "--release", "-p", "api", "-p", "worker", "-p", package])?;
    binaries("release")
}

/// The folder with the binaries of a profile, `debug` or `release`.
pub(crate) fn binaries(profile: &str) -> Result<PathBuf> {
    let metadata = output(&["metadata", "--format-version=1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("reading cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata has no target_directory")?;
    Ok(Path::new(target).join(profile))
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    [program].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
