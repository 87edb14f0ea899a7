//! `parkade-api reset`.

use clap::Args;
use shared::{
    app::App,
    base::plural::plural,
    operations::reset::{self, Removed},
    parking::audit::Actor,
    platform::config::Config,
};

use super::output::print;

#[derive(Args)]
pub(super) struct Reset {
    /// The confirmation phrase: delete all data.
    #[arg(long)]
    confirm: String,
}

impl Reset {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let app = App::start(config).await?;
        let removed = reset::reset(&app, &Actor::COMMAND_LINE, &self.confirm).await;
        app.db.close().await;
        let Removed { rows, keys, files } = removed?;
        let keys =
            keys.map_or_else(|| "no keys, because Redis is not available".into(), |keys| plural(keys, "key"));
        print(&format!(
            "Deleted {}, {} and {keys}. The administrators are kept.",
            plural(rows, "row"),
            plural(files, "file")
        ))
    }
}
