//! Calling cargo and what it built.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.ancestors().nth(2).unwrap_or(xtask)
}

/// A cargo command in the workspace, by the cargo that runs this.
pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(args);
    // `cargo run` has told this program who it is. Build scripts ask for the same names (that of ring does), and
    // would run again, with all that depends on them, whenever a build comes from here and not from a shell.
    let told = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix));
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| told(name))
    {
        command.env_remove(name);
    }
    command
}

/// Says what is run, runs it and fails unless it succeeds.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<()> {
    let mut command = command(args);
    println!("==> {}", shown(&command));
    succeed(&mut command)
}

/// Runs a command in this terminal and fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    ensure!(status.success(), "{} failed ({status})", shown(command));
    Ok(())
}

/// What cargo prints for `args`.
pub(crate) fn output(args: &[&str]) -> Result<String> {
    let mut command = command(args);
    let output = command.output().with_context(|| format!("cannot run {}", shown(&command)))?;
    if !output.status.success() {
        bail!("{} failed:\n{}", shown(&command), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Builds what is measured. Returns where it lies.
pub(crate) fn build_release() -> Result<PathBuf> {
    run(["build", "--release", "-p", "api", "-p", "worker", "-p", "bench"])?;
    binaries("release")
}

/// Where built binaries lie, for `debug` or `release`.
pub(crate) fn binaries(profile: &str) -> Result<PathBuf> {
    let metadata = output(&["metadata", "--format-version=1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("reading cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(Path::new(target).join(profile))
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    [program].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
