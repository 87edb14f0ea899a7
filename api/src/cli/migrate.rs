//! `parkade-api migrate`.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{bail, ensure};
use clap::Subcommand;
use migration::{Migrator, MigratorTraitSelf};
use secrecy::ExposeSecret;
use shared::{
    app::App,
    operations::backup,
    platform::{
        config::{Config, Environment},
        db,
    },
};

use super::{output::print, progress};

/// What has to be typed before all data is deleted.
const PHRASE: &str = "delete all data";

#[derive(Subcommand)]
pub(super) enum Migrate {
    /// Apply all missing migrations.
    Up,
    /// Revert all migrations, which deletes all data; the API and the workers must be stopped.
    Down {
        /// The confirmation phrase: delete all data. On a terminal, it is asked for.
        #[arg(long)]
        confirm: Option<String>,
    },
    /// List the migrations.
    Status,
}

impl Migrate {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        if let Self::Down { confirm } = &self {
            confirm_down(&config, confirm.as_deref()).await?;
        }
        let settings = config.for_migrations();
        let app = App::connect(config).await?;
        match self {
            Self::Up => progress::show("migrate", None, app.migrate()).await?,
            Self::Down { .. } => Migrator(settings).down(&app.db.write().pool(), None).await?,
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

async fn confirm_down(config: &Config, phrase: Option<&str>) -> anyhow::Result<()> {
    if config.environment == Environment::Production {
        bail!("APP_ENV is production: reverting the migrations would delete all data");
    }
    let url = config.database_url.expose_secret();
    let phrase = match phrase {
        Some(phrase) => phrase.to_owned(),
        None if io::stdin().is_terminal() => {
            print(&format!("This deletes all data in {}. Type \"{PHRASE}\" to go on:", db::target(url)))?;
            io::stdin().lock().lines().next().transpose()?.unwrap_or_default()
        }
        None => bail!("this deletes all data in {}; to go on, add --confirm {PHRASE:?}", db::target(url)),
    };
    ensure!(phrase.trim() == PHRASE, "the confirmation phrase does not match {PHRASE:?}");
    backup::ensure_unused(url).await
}
