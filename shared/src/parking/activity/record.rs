//! Recording what a user did.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use crate::{
    base::error::Result,
    platform::db::{at, sql},
};

/// The kinds of activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Logged in.
    Login,
    /// Booked a spot or made a reservation.
    Booking,
    /// Cancelled a reservation.
    Cancellation,
    /// Released a spot.
    Release,
    /// Requested an export.
    Export,
    /// Was sent a mail.
    Notification,
    /// Cleared caches, counters or limits.
    Clear,
    /// Deleted all data.
    Reset,
}

impl Kind {
    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Booking => "booking",
            Self::Cancellation => "cancellation",
            Self::Release => "release",
            Self::Export => "export",
            Self::Notification => "notification",
            Self::Clear => "clear",
            Self::Reset => "reset",
        }
    }
}

/// The beginning of the INSERT, for a statement that also writes what the activity is about.
pub(in crate::parking) const INSERT: &str = "INSERT INTO user_activity (user_id, kind, subject, created_at)";

/// Records an activity in the caller's transaction. `subject` is the id of what it is about.
pub async fn record(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    user_id: i64,
    kind: Kind,
    subject: Option<String>,
) -> Result<()> {
    db.execute_raw(sql(
        db,
        &format!("{INSERT} VALUES ($1, $2, $3, $4)"),
        [user_id.into(), kind.as_str().into(), subject.into(), at(now)],
    ))
    .await?;
    Ok(())
}
