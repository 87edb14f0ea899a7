//! `parkade-api config`.

use clap::Subcommand;
use shared::platform::config::Config;

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Read every setting and report all problems.
    Check,
}

impl Command {
    /// Loading the settings has already checked all but the secret, which not every command needs.
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self::Check = self;
        config.jwt_secret()?;
        print("All settings are valid")
    }
}
