//! `parkade-api admin`.

use anyhow::Context;
use clap::Subcommand;
use shared::{app::App, parking::accounts, platform::config::Config};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Admin {
    /// Create an administrator; the password is read from standard input.
    Create {
        /// The displayed name.
        #[arg(long)]
        username: String,
        /// The email address to log in with.
        #[arg(long)]
        email: String,
    },
}

impl Admin {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let Self::Create { username, email } = self;
        let mut password = String::new();
        std::io::stdin().read_line(&mut password).context("reading the password from standard input")?;
        let app = App::start(config).await?;
        let password = password.trim_end_matches(['\r', '\n']);
        let user = accounts::create_admin(&app, &username, &email, password).await?;
        app.db.close().await;
        print(&format!("Created administrator {} (id {})", user.username, user.id))
    }
}
