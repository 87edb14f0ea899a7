//! `parkade-worker test-email`: sends one mail with the current settings and reports each step.

use shared::{
    base::clock::Clock,
    parking::notifications,
    platform::{
        config::{Config, Encryption},
        mailer::Mailer,
    },
};

/// Sends a mail to `address` without using the database or Redis. An error says what to do about it.
pub async fn run(config: &Config, address: &str) -> anyhow::Result<()> {
    let explain = |error: shared::Error| anyhow::anyhow!(error.chain());
    let mailer = Mailer::from_config(&config.mail).map_err(explain)?;
    let mail = notifications::test_mail(config, Clock::System.now(), address).map_err(explain)?;
    if let Some(server) = &config.mail.server {
        let (port, encryption) = (config.mail.port, config.mail.encryption());
        let encryption = match encryption {
            Encryption::Never => "unencrypted",
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
