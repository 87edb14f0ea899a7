//! `parkade-api backup`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use shared::{
    base::{clock::Clock, plural::plural},
    operations::backup::{self, Manifest},
    platform::config::Config,
};

use super::{output::print, progress};

#[derive(Args)]
pub(super) struct Backup {
    /// The file to write; by default a new file in BACKUP_FOLDER, named by the time.
    file: Option<PathBuf>,
    /// Keep this many backups in BACKUP_FOLDER and delete the older ones.
    #[arg(long, conflicts_with = "file", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
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
        let manifest = progress::show("backup", None, backup::create(config, &Clock::System, &file)).await?;
        print(&format!("{} contains {}", file.display(), contents(&manifest)))?;
        if let Some((folder, keep)) = folder.zip(self.keep) {
            prune(folder, keep.into())?;
        }
        Ok(())
    }
}

fn prune(folder: &Path, keep: usize) -> anyhow::Result<()> {
    for (old, _) in backup::files(folder)?.iter().rev().skip(keep) {
        std::fs::remove_file(old).with_context(|| format!("cannot delete {}", old.display()))?;
        print(&format!("Deleted {}", old.display()))?;
    }
    Ok(())
}

/// What a backup contains.
pub(super) fn contents(manifest: &Manifest) -> String {
    let rows: u64 = manifest.tables.values().map(|table| table.rows).sum();
    format!(
        "{} of {} from {}, {} {}, schema {}",
        plural(rows, "row"),
        plural(manifest.tables.len(), "table"),
        manifest.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
        manifest.engine.name(),
        manifest.engine_version,
        manifest.schema.last().map_or("unknown", String::as_str)
    )
}
