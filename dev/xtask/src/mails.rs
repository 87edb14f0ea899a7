//! `cargo xtask mails`: writes every mail as it is sent, and its parts, as files to look at.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cargo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to; made if need be.
    #[arg(long, value_name = "FOLDER", default_value = "target/mails")]
    out: PathBuf,
}

/// The test that writes them is the one that checks them, so what is seen is what is tested.
pub(crate) fn run(args: &Args) -> Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let folder = args.out.canonicalize()?;
    let test = "parking::notifications::tests::samples::mails_are_written_to_files";
    let mut command =
        cargo::command(["test", "--quiet", "--package", "shared", "--lib", "--", "--exact", test]);
    cargo::succeed(command.env("MAILS_FOLDER", &folder))?;
    println!("==> look at {}", folder.join("index.html").display());
    Ok(())
}
