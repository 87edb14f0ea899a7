//! Reading the activity log.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    platform::db::{at, sql},
};

/// An entry of the log.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Activity {
    /// Ascending in time.
    pub id: i64,
    /// A [`Kind`](super::Kind), by name.
    pub kind: String,
    /// The id of the reservation or export, or the kind of mail.
    pub subject: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// The log of a user.
#[derive(Debug, Clone)]
pub struct History {
    /// Newest first.
    pub activities: Paged<Activity>,
    /// When they last logged in.
    pub last_login: Option<DateTime<Utc>>,
    /// When they last booked or reserved a spot.
    pub last_booking: Option<DateTime<Utc>>,
}

/// The log of the caller or, for administrators, of `user_id`.
///
/// # Errors
/// [`Error::Forbidden`] for the log of somebody else; [`Error::NotFound`] for an unknown user.
pub async fn history(app: &App, who: &Identity, user_id: Option<i64>, page: &Page) -> Result<History> {
    let user_id = user_id.unwrap_or(who.user_id);
    if user_id != who.user_id && !who.is_admin {
        return Err(Error::Forbidden("only an administrator may see what others did"));
    }
    let db = app.db.read();
    let last = db
        .query_one_raw(sql(
            db,
            "SELECT last_login_at, (SELECT r.created_at FROM reservations r
                 WHERE r.user_id = users.id ORDER BY r.id DESC LIMIT 1) AS last_booking_at
             FROM users WHERE id = $1 AND deleted_at IS NULL",
            [user_id.into()],
        ))
        .await?
        .ok_or(Error::NotFound("user"))?;
    let rows = Activity::find_by_statement(sql(
        db,
        "SELECT id, kind, subject, created_at FROM user_activity
         WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        [user_id.into(), page.after.unwrap_or(i64::MAX).into(), page.fetch_limit().into()],
    ));
    Ok(History {
        activities: page.trim(rows.all(db).await?),
        last_login: last.try_get("", "last_login_at")?,
        last_booking: last.try_get("", "last_booking_at")?,
    })
}

/// How many activities of each kind there were from `from` to before `to`.
pub async fn count(
    db: &impl ConnectionTrait,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<(String, i64)>> {
    let text = "SELECT kind, COUNT(*) AS n FROM user_activity WHERE created_at >= $1 AND created_at < $2 GROUP BY kind";
    let rows = db.query_all_raw(sql(db, text, [at(from), at(to)])).await?;
    rows.iter().map(|row| Ok((row.try_get("", "kind")?, row.try_get("", "n")?))).collect()
}
