//! `parkade-api audit`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use shared::{
    app::App,
    parking::audit::{self, Checkpoint, Verdict},
    platform::config::Config,
};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Verify that no entry of the audit table was changed, removed, inserted or moved; fails at the first broken link.
    Verify {
        /// A file with checkpoints, such as the log of a worker; they reveal that the last entries were removed.
        #[arg(long)]
        checkpoints: Vec<PathBuf>,
    },
    /// Print where the chain ends now, as a checkpoint to keep elsewhere.
    Checkpoint,
}

impl Audit {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        match self {
            Self::Verify { checkpoints } => verify(config, &checkpoints).await,
            Self::Checkpoint => {
                let app = App::connect(config).await?;
                let checkpoint = audit::checkpoint(&app).await?;
                app.db.close().await;
                print(&checkpoint.context("no entry is linked, or the chain cannot be verified")?.to_string())
            }
        }
    }
}

async fn verify(config: Config, files: &[PathBuf]) -> anyhow::Result<()> {
    let mut checkpoints = Vec::new();
    for file in files {
        let log = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        checkpoints.extend(Checkpoint::find_all(&String::from_utf8_lossy(&log)));
    }
    let app = App::connect(config).await?;
    let verdict = audit::verify(&app, &checkpoints).await?;
    app.db.close().await;
    let Verdict { entries, broken, notes, pending } = verdict;
    notes.iter().try_for_each(|note| print(&format!("note: {note}")))?;
    if pending > 0 {
        print(&format!("{pending} entries are not linked yet, which a running worker does within seconds"))?;
    }
    match broken {
        Some(broken) => bail!("the audit chain is broken: {broken}"),
        None => print(&format!("{entries} entries and {} checkpoints agree", checkpoints.len())),
    }
}
