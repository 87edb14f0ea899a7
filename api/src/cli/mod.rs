//! The commands of `parkade-api`.

mod admin;
mod audit;
mod backup;
mod cache;
mod config;
mod copy;
mod doctor;
mod integrity;
mod migrate;
mod output;
mod progress;
mod reset;
mod restore;
mod seed;
mod serve;
mod tariff;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use shared::platform::{
    config::{Config, Sources},
    settings, telemetry,
};

/// The API of Parkade: parking lots, bookings, exports.
#[derive(Parser)]
#[command(name = "parkade-api", version, after_help = settings::help())]
pub(crate) struct Cli {
    /// A file with settings, one NAME=VALUE per line.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Apply missing migrations and serve the API until SIGTERM.
    Serve,
    /// Manage the database schema.
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Manage administrators.
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Check or describe the settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Verify the audit table.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Check the integrity of the data; fails if a rule is violated.
    Integrity,
    /// Manage what is stored in Redis.
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Delete all data except the administrators; needs ALLOW_RESET=true, never possible in production.
    Reset(reset::Reset),
    /// Check everything that Parkade needs, and say what to do; fails if there is a problem.
    Doctor(doctor::Doctor),
    /// Write the whole database to one file, while everything keeps running.
    Backup(backup::Backup),
    /// Copy a SQLite database into an empty PostgreSQL database; the API and the workers must be stopped.
    Copy(copy::Copy),
    /// Replace the database with a backup; the API and the workers must be stopped.
    Restore(restore::Restore),
    /// Print the OpenAPI document.
    Openapi,
    /// Fill an empty database with a simulated car park.
    Seed(seed::Seed),
    /// Try a tariff.
    #[command(subcommand)]
    Tariff(tariff::Tariff),
}

impl Cli {
    /// Runs the command. A closed pipe, as after `| head`, is not an error.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.execute().await.or_else(output::ignore_broken_pipe)
    }

    async fn execute(self) -> anyhow::Result<()> {
        match self.command {
            Command::Openapi => return output::print(&api::routes::document().to_pretty_json()?),
            Command::Config(config::Command::Docs) => return config::docs(),
            _ => {}
        }
        let config = Config::load(Sources::read(self.config.as_deref()))?;
        let _spans = telemetry::init(&config, "parkade-api")?;
        match self.command {
            Command::Openapi | Command::Config(config::Command::Docs) => Ok(()),
            Command::Serve => serve::run(config).await,
            Command::Migrate(migrate) => migrate.run(config).await,
            Command::Admin(admin) => admin.run(config).await,
            Command::Config(config::Command::Check) => config::check(&config).await,
            Command::Audit(audit) => audit.run(config).await,
            Command::Integrity => integrity::run(config).await,
            Command::Cache(cache) => cache.run(config).await,
            Command::Reset(reset) => reset.run(config).await,
            Command::Doctor(doctor) => doctor.run(&config).await,
            Command::Backup(backup) => backup.run(&config).await,
            Command::Copy(copy) => copy.run(&config).await,
            Command::Restore(restore) => restore.run(config).await,
            Command::Seed(seed) => seed.run(config).await,
            Command::Tariff(tariff) => tariff.run(config).await,
        }
    }
}
