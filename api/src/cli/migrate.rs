//! `parkade-api migrate`.

use anyhow::bail;
use clap::Subcommand;
use migration::{Migrator, MigratorTraitSelf};
use shared::{
    app::App,
    platform::config::{Config, Environment},
};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Migrate {
    /// Apply all missing migrations.
    Up,
    /// Revert all migrations; this deletes all data.
    Down,
    /// List the migrations.
    Status,
}

impl Migrate {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let is_production = config.environment == Environment::Production;
        let settings = config.for_migrations();
        let app = App::connect(config).await?;
        match self {
            Self::Up => app.migrate().await?,
            Self::Down if is_production => {
                bail!("APP_ENV is production: reverting the migrations would delete all data")
            }
            Self::Down => Migrator(settings).down(&app.db.write().pool(), None).await?,
            Self::Status => {
                for migration in Migrator(settings).get_migration_with_status(&app.db.write().pool()).await? {
                    print(&format!("{:<32}{}", migration.name(), migration.status()))?;
                }
            }
        }
        app.db.close().await;
        Ok(())
    }
}
