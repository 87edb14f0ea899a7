//! What users did, for themselves to look up and for reminders to go by.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use crate::{
    db::{at, sql},
    error::Result,
};

/// What is worth remembering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Logged in.
    Login,
    /// Booked a spot.
    Booking,
    /// Released one.
    Release,
    /// Asked for an export.
    Export,
    /// Was sent a mail.
    Notification,
}

impl Kind {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Booking => "booking",
            Self::Release => "release",
            Self::Export => "export",
            Self::Notification => "notification",
        }
    }
}

/// Remembers that the user did this, in the caller's transaction.
///
/// # Errors
/// Those of the database.
pub async fn record(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    user_id: i64,
    kind: Kind,
    subject: Option<String>,
) -> Result<()> {
    db.execute_raw(sql(
        db,
        "INSERT INTO user_activity (user_id, kind, subject, created_at) VALUES ($1, $2, $3, $4)",
        [user_id.into(), kind.as_str().into(), subject.into(), at(now)],
    ))
    .await?;
    Ok(())
}
