//! What administrators are told: a mail to each, and a message in their chat where there is one, once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::context;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    chat::PostToChat,
    delivery::{Letter, compose, deliver},
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    platform::{config::Config, db::sql, mailer::Mail, templates::Templates},
};

/// Something that administrators should know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    /// Told once per key, for ever: `reminders:2026-11-24`.
    pub key: String,
    /// One line: what it is about.
    pub title: String,
    /// Labels and values, such as `sent` and `312`.
    pub facts: Vec<(String, String)>,
}

/// The jobs that tell every administrator.
///
/// # Errors
/// Those of the database.
pub async fn tell_administrators(
    config: &Config,
    db: &impl ConnectionTrait,
    notice: &Notice,
) -> Result<Vec<NewJob>> {
    let text = "SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL ORDER BY id";
    let rows = db.query_all_raw(sql(db, text, [])).await?;
    let tell = |user_id: i64| {
        let job = SendNotice { user_id, notice: notice.clone() };
        Ok(NewJob::of(&job)?.owner(user_id).unique(format!("{}:{user_id}", notice.key)))
    };
    let mut jobs: Vec<NewJob> = rows.iter().map(|row| tell(row.try_get("", "id")?)).collect::<Result<_>>()?;
    if config.notifications.chat.is_some() {
        jobs.push(NewJob::of(&PostToChat { notice: notice.clone() })?.unique(&notice.key));
    }
    Ok(jobs)
}

/// Mails a notice to one administrator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendNotice {
    /// Whom.
    pub user_id: i64,
    /// What.
    pub notice: Notice,
}

impl Job for SendNotice {
    const NAME: &'static str = "send-notice";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
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

/// A mail that only shows that mails arrive.
///
/// # Errors
/// [`crate::Error::Internal`] when the template is broken.
pub fn test_mail(config: &Config, now: DateTime<Utc>, address: &str) -> Result<Mail> {
    let letter = Letter {
        kind: "notice",
        values: context! { title => "A test mail from Parkade", facts => [("Sent", super::shown(now, config.zone))] },
        ..Letter::default()
    };
    let (rendered, unsubscribe) = compose(&Templates::new()?, config, &letter, "administrator")?;
    Ok(Mail {
        to_name: String::new(),
        to_address: address.to_owned(),
        message_id: format!("test-{}@parkade", crate::jobs::new_id()),
        date: now,
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        attachment: None,
        inline: Vec::new(),
        unsubscribe,
    })
}
