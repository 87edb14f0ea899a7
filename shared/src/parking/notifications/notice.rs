//! Notices to administrators, and the jobs that carry them. How these send a notice is in `notice_mail` and `chat`.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use crate::{
    base::error::Result,
    jobs::NewJob,
    platform::{config::Config, db::sql},
};

/// A message to all administrators.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    /// A notice is sent once per key: `reminders:2026-11-24`.
    pub key: String,
    /// One line that says what it is about.
    pub title: String,
    /// Labels and values, such as `Sent` and `312`.
    pub facts: Vec<(String, String)>,
}

/// Mails a notice to one administrator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendNotice {
    /// The administrator.
    pub user_id: i64,
    /// The notice.
    pub notice: Notice,
}

/// Posts a notice to the administrators' chat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostToChat {
    /// The notice.
    pub notice: Notice,
}

/// The jobs that send a notice: a mail to each administrator, and a post to the chat if there is one.
pub async fn notify_administrators(
    config: &Config,
    db: &impl ConnectionTrait,
    notice: &Notice,
) -> Result<Vec<NewJob>> {
    let text = "SELECT id FROM users WHERE role = 'admin' AND deleted_at IS NULL ORDER BY id";
    let rows = db.query_all_raw(sql(db, text, [])).await?;
    let mail = |user_id: i64| {
        let job = SendNotice { user_id, notice: notice.clone() };
        Ok(NewJob::of(&job)?.owner(user_id).unique(format!("{}:{user_id}", notice.key)))
    };
    let mut jobs: Vec<NewJob> = rows.iter().map(|row| mail(row.try_get("", "id")?)).collect::<Result<_>>()?;
    if config.notifications.chat.is_some() {
        jobs.push(NewJob::of(&PostToChat { notice: notice.clone() })?.unique(&notice.key));
    }
    Ok(jobs)
}
