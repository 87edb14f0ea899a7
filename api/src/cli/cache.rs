//! `parkade-api cache`.

use clap::Subcommand;
use shared::{
    app::App,
    base::plural::plural,
    operations::clear::{self, Scope},
    platform::config::Config,
};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Cache {
    /// Clear the cache, counters or rate limits; sessions and jobs are kept.
    Clear {
        /// What to clear; may be repeated.
        #[arg(long, value_parser = ["cache", "counters", "rate_limits"], default_value = "cache")]
        scope: Vec<String>,
    },
}

impl Cache {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let Self::Clear { scope } = self;
        let app = App::connect(config).await?;
        let scopes: Vec<Scope> = scope.iter().filter_map(|name| Scope::named(name)).collect();
        let cleared = clear::clear(&app, None, &scopes).await;
        app.db.close().await;
        print(&format!("{} cleared", plural(cleared?, "key")))
    }
}
