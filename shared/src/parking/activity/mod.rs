//! What users did, for themselves to look up and for reminders to go by.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    parking::accounts,
    platform::db::{at, sql},
};

/// What is worth remembering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Logged in.
    Login,
    /// Booked a spot, now or for a window.
    Booking,
    /// Gave a reservation up.
    Cancellation,
    /// Released one.
    Release,
    /// Asked for an export.
    Export,
    /// Was sent a mail.
    Notification,
    /// Cleared caches, counters or limits.
    Clear,
    /// Deleted all data.
    Reset,
}

impl Kind {
    /// As stored and sent.
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

/// How often each kind of thing was done from one instant to before another.
///
/// # Errors
/// Those of the database.
pub async fn count(
    db: &impl ConnectionTrait,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<(String, i64)>> {
    let text = "SELECT kind, COUNT(*) AS n FROM user_activity WHERE created_at >= $1 AND created_at < $2 GROUP BY kind";
    let rows = db.query_all_raw(sql(db, text, [at(from), at(to)])).await?;
    rows.iter().map(|row| Ok((row.try_get("", "kind")?, row.try_get("", "n")?))).collect()
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

/// Something that a user did.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Activity {
    /// Its id.
    pub id: i64,
    /// As [`Kind::as_str`].
    pub kind: String,
    /// The id of the reservation or export, or the kind of mail.
    pub subject: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A user's activities, and when they last came.
#[derive(Debug, Clone)]
pub struct History {
    /// The newest first.
    pub activities: Paged<Activity>,
    /// When they last logged in.
    pub last_login: Option<DateTime<Utc>>,
    /// When they last booked or reserved a spot.
    pub last_booking: Option<DateTime<Utc>>,
}

/// What the caller did, or for administrators what `user_id` did.
///
/// # Errors
/// [`Error::Forbidden`] to look at others; [`Error::NotFound`] without such a user.
pub async fn history(app: &App, who: &Identity, user_id: Option<i64>, page: &Page) -> Result<History> {
    let user_id = user_id.unwrap_or(who.user_id);
    if user_id != who.user_id && !who.is_admin {
        return Err(Error::Forbidden("only an administrator may see what others did"));
    }
    let user = accounts::by_id(app, user_id).await?;
    let db = app.db.read();
    let rows = Activity::find_by_statement(sql(
        db,
        "SELECT id, kind, subject, created_at FROM user_activity
         WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        [user_id.into(), page.after.unwrap_or(i64::MAX).into(), page.fetch_limit().into()],
    ));
    let last = "SELECT created_at FROM reservations WHERE user_id = $1 ORDER BY id DESC LIMIT 1";
    let last = db.query_one_raw(sql(db, last, [user_id.into()])).await?;
    Ok(History {
        activities: page.trim(rows.all(db).await?),
        last_login: user.last_login_at,
        last_booking: last.map(|row| row.try_get("", "created_at")).transpose()?,
    })
}
