//! `parkade-api copy`.

use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use shared::{
    operations::copy,
    platform::{config::Config, db::target},
};

use super::{output::print, progress};

#[derive(Args)]
pub(super) struct Copy {
    /// The URL of the empty PostgreSQL database.
    #[arg(long, value_name = "URL")]
    to: String,
}

impl Copy {
    pub(super) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let (rows, to) = (AtomicU64::new(0), self.to.as_str());
        let count = |copied| {
            rows.fetch_add(copied, Ordering::Relaxed);
        };
        let tables = progress::show("copy", Some(&rows), copy::copy(config, to, count)).await?;
        for (table, found) in &tables {
            print(&format!("{table:<20}{:>12} rows  {}", found.rows, found.sum))?;
        }
        print(&format!(
            "Copied to {}, and compared row by row. Set DATABASE_URL to it and start the API and the workers.",
            target(to)
        ))
    }
}
