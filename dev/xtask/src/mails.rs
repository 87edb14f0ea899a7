//! `cargo xtask mails`: writes every mail with sample data to files.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cargo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder, which is created if missing.
    #[arg(long, value_name = "FOLDER", default_value = "target/mails")]
    out: PathBuf,
}

/// The files are written by the test that checks the mails.
pub(crate) fn run(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;
    let folder = args.out.canonicalize()?;
    let tests = "notifications::tests::samples::";
    let mut command = cargo::command(["test", "--quiet", "--package", "shared", "--lib", tests]);
    cargo::succeed(command.env("MAILS_FOLDER", &folder))?;
    let index = folder.join("index.html");
    ensure!(index.is_file(), "no test {tests} has written {}", index.display());
    println!("==> open {}", index.display());
    Ok(())
}
