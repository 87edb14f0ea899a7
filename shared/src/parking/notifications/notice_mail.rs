//! Mailing a notice to an administrator, and the test mail of the command line.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::context;

use super::{
    alert,
    delivery::{Letter, compose, deliver, dropped},
    format::local_time,
    notice::SendNotice,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue, new_id},
    platform::{config::Config, keys::Keys, mailer::Mail, templates::Templates},
};

impl Job for SendNotice {
    const NAME: &'static str = "send-notice";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        if alert::is_outdated(&self.notice.key, context.app.clock.now()) {
            return Ok(dropped("a later alert says the same"));
        }
        let letter = Letter {
            key: format!("notice:{}:{}", self.notice.key, self.user_id),
            kind: "notice",
            user_id: self.user_id,
            values: context! { title => &self.notice.title, facts => &self.notice.facts },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}

/// A mail that only proves that mails arrive.
///
/// # Errors
/// [`crate::Error::Internal`] if the template is broken.
pub fn test_mail(config: &Config, now: DateTime<Utc>, address: &str) -> Result<Mail> {
    let letter = Letter {
        kind: "notice",
        values: context! { title => "A test mail from Parkade", facts => [("Sent", local_time(now, config.zone))] },
        ..Letter::default()
    };
    let (rendered, unsubscribe) =
        compose(&Templates::new()?, config, &Keys::new(config)?, &letter, "administrator")?;
    Ok(Mail {
        to_name: String::new(),
        to_address: address.to_owned(),
        message_id: format!("test-{}@parkade", new_id()),
        date: now,
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        attachment: None,
        inline: Vec::new(),
        unsubscribe,
    })
}
