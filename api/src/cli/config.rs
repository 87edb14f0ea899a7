//! `parkade-api config`.

use anyhow::bail;
use clap::Subcommand;
use shared::{
    operations::doctor,
    platform::{config::Config, settings},
};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Read every setting and report all problems.
    Check,
    /// Print the settings as Markdown, the contents of docs/SETTINGS.md.
    Docs,
}

/// Loading the settings has already checked all but the secret, which not every command needs, and the currency, which the
/// database knows.
pub(super) async fn check(config: &Config) -> anyhow::Result<()> {
    config.require_jwt_keys()?;
    if let Some(conflict) = doctor::currency_conflict(config).await {
        bail!(conflict);
    }
    print("All settings are valid")
}

pub(super) fn docs() -> anyhow::Result<()> {
    print(settings::markdown().trim_end())
}
