//! `parkade-api backup` and `parkade-api restore`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use shared::{
    app::App,
    base::clock::Clock,
    operations::backup::{self, Manifest},
    platform::{cache::Group, config::Config},
};

use super::print;

#[derive(Args)]
pub(super) struct Backup {
    /// Where to; a file in BACKUP_FOLDER that is named by the time when none is given.
    file: Option<PathBuf>,
    /// Of the files in BACKUP_FOLDER, keep this many and remove older ones.
    #[arg(long, conflicts_with = "file", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
}

#[derive(Args)]
pub(super) struct Restore {
    /// A file that `parkade-api backup` has written.
    file: PathBuf,
    /// Where there is data, confirm that it goes by the words: replace all data.
    #[arg(long)]
    confirm: Option<String>,
    /// Check that the file is whole, show what it holds, and change nothing.
    #[arg(long, conflicts_with = "confirm")]
    check: bool,
}

impl Backup {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = config.operations.backup_folder.as_deref();
        let (file, folder) = match (self.file, folder) {
            (Some(file), _) => (file, None),
            (None, Some(folder)) => {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
                (folder.join(backup::file_name(Clock::System.now())), Some(folder))
            }
            (None, None) => bail!("name a file, or set BACKUP_FOLDER"),
        };
        let manifest = backup::create(config, &Clock::System, &file).await?;
        print(&format!("{} holds {}", file.display(), contents(&manifest)))?;
        if let Some((folder, keep)) = folder.zip(self.keep) {
            prune(folder, keep.into())?;
        }
        Ok(())
    }
}

fn prune(folder: &Path, keep: usize) -> anyhow::Result<()> {
    for (old, _) in backup::files(folder)?.iter().rev().skip(keep) {
        std::fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
        print(&format!("{} is removed", old.display()))?;
    }
    Ok(())
}

impl Restore {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        if self.check {
            return print(&format!(
                "{} is whole: {}",
                self.file.display(),
                contents(&backup::inspect(&self.file)?)
            ));
        }
        let manifest = backup::restore(&config, &self.file, self.confirm.as_deref()).await?;
        print(&format!("restored and compared row by row: {}", contents(&manifest)))?;
        // What is cached is of the database of before.
        let app = App::connect(config).await?;
        app.cache.invalidate(&[Group::Everything]).await;
        app.db.close().await;
        print("export files are not part of a backup; jobs that were waiting will be run")
    }
}

fn contents(manifest: &Manifest) -> String {
    let rows: u64 = manifest.tables.values().map(|table| table.rows).sum();
    format!(
        "{rows} rows of {} tables as of {}, {} {}, schema {}",
        manifest.tables.len(),
        manifest.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
        manifest.engine.name(),
        manifest.engine_version,
        manifest.schema.last().map_or("unknown", String::as_str)
    )
}
