//! `parkade-api restore`.

use std::path::PathBuf;

use clap::Args;
use shared::{
    app::App,
    operations::backup,
    platform::{cache::Group, config::Config},
};

use super::{backup::contents, output::print, progress};

#[derive(Args)]
pub(super) struct Restore {
    /// A file written by `parkade-api backup`.
    file: PathBuf,
    /// The confirmation phrase, needed if the database has data: replace all data.
    #[arg(long)]
    confirm: Option<String>,
    /// Check that the file is complete and show what it contains, without changing anything.
    #[arg(long, conflicts_with = "confirm")]
    check: bool,
}

impl Restore {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        if self.check {
            let manifest = backup::inspect(&self.file)?;
            return print(&format!("{} is complete: {}", self.file.display(), contents(&manifest)));
        }
        let restoring = backup::restore(&config, &self.file, self.confirm.as_deref());
        let manifest = progress::show("restore", None, restoring).await?;
        print(&format!("Restored, and compared row by row: {}", contents(&manifest)))?;
        // Cached answers are from the database before.
        let app = App::connect(config).await?;
        app.cache.invalidate(&[Group::Everything]).await;
        app.db.close().await;
        print("Export files are not part of a backup. Jobs that were waiting will run.")
    }
}
