//! `parkade-worker test-email`: one mail at once, with the settings at hand, telling step by step what works.

use shared::{
    base::clock::Clock,
    parking::notifications,
    platform::{
        config::{Config, Encryption},
        mailer::Mailer,
    },
};

/// Sends a mail to `address`. Neither the database nor Redis is needed.
///
/// # Errors
/// Why the mail did not go, and what to do about it.
pub async fn run(config: &Config, address: &str) -> anyhow::Result<()> {
    let explained = |error: shared::Error| anyhow::anyhow!(error.chain());
    let mailer = Mailer::from_config(&config.mail).map_err(explained)?;
    let mail = notifications::test_mail(config, Clock::System.now(), address).map_err(explained)?;
    if let Some(server) = &config.mail.server {
        let (port, encryption) = (config.mail.port, config.mail.encryption());
        let encryption = match encryption {
            Encryption::Never => "in clear",
            Encryption::StartTls => "with STARTTLS",
            Encryption::FromStart => "with TLS from the first byte",
        };
        say(&format!("trying {server}:{port}, {encryption}"));
    }
    mailer.send_verbosely(&mail, &mut say).await?;
    if config.mail.server.is_some() {
        say("the test mail is on its way");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command line answers there")]
fn say(step: &str) {
    println!("{step}");
}
