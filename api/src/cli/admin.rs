//! `parkade-api admin`.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, ensure};
use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use shared::{
    app::App,
    operations::backup,
    parking::accounts,
    platform::{config::Config, db},
};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Admin {
    /// Create an administrator; the password is asked for, or read from standard input.
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
        let url = config.database_url.expose_secret();
        let target = db::target(url);
        ensure!(
            !backup::is_missing(url),
            "{target} does not exist; check DATABASE_URL and the working directory, or create it with: parkade-api \
             migrate up"
        );
        writeln!(io::stderr(), "Using {target}")?;
        let password = read_password()?;
        let app = App::start(config).await?;
        let user = accounts::create_admin(&app, &username, &email, password.expose_secret()).await?;
        app.db.close().await;
        print(&format!("Created administrator {} (id {})", user.username, user.id))
    }
}

/// Asks twice on a terminal, without showing what is typed; otherwise reads a line.
fn read_password() -> anyhow::Result<SecretString> {
    if io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        ensure!(rpassword::prompt_password("Once more: ")? == password, "the two passwords differ");
        return Ok(password.into());
    }
    let mut password = String::new();
    io::stdin().read_line(&mut password).context("reading the password from standard input")?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned().into())
}
