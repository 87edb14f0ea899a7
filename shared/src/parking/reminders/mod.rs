//! Reminders: to drivers who have not been here for a while, at most one a local day.

pub mod job;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;

pub use job::SendReminders;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
    },
    parking::{
        lots::{self, Lot},
        notifications::mailing::Audience,
        reports::user,
    },
    platform::{
        config::Schedules,
        db::{at, sql},
    },
};

/// Lots that a reminder names.
const LOTS: usize = 3;

/// Who has logged in or booked lately is not reminded of it, nor is who is here, or expected. Whoever never did counts
/// from when they came. The latest reservation is the one with the highest id, whatever has become of it.
const AWAY: &str = "(COALESCE(u.last_login_at, u.created_at) <= $1
        OR COALESCE((SELECT r.created_at FROM reservations r WHERE r.user_id = u.id ORDER BY r.id DESC LIMIT 1),
            u.created_at) <= $2)
    AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = u.id AND r.state IN ('reserved', 'active'))";

/// Those who are to be reminded at an instant.
#[must_use]
pub fn audience(schedules: &Schedules, now: DateTime<Utc>) -> Audience {
    let since = [schedules.login_reminder_after, schedules.booking_reminder_after];
    Audience { condition: AWAY, values: since.map(|days| at(now - days)).into() }
}

/// What a reminder tells a driver.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Since they last logged in or booked, or else came.
    pub away: TimeDelta,
    /// Since they last booked, or else came.
    pub idle: TimeDelta,
    /// Reservations that count, ever.
    pub bookings: i64,
    /// How long ended stays were, in microseconds.
    pub micros: i64,
    /// On ended stays.
    pub spent: Money,
    /// Lots with free spots: those that they used most, then those that are emptiest.
    pub lots: Vec<Lot>,
}

/// The figures of a driver as of now.
///
/// # Errors
/// [`Error::NotFound`] without such a user.
pub async fn figures(app: &App, user_id: i64) -> Result<Figures> {
    let (db, now) = (app.db.read(), app.clock.now());
    let used = user::by_lot(db, user_id, DateTime::UNIX_EPOCH..now).await?;
    let mut lots: Vec<Lot> = Vec::with_capacity(LOTS);
    for one in &used {
        match lots::find(app, one.lot_id).await {
            Ok(lot) if lot.available_slots > 0 => lots.push(lot),
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        if lots.len() == LOTS {
            break;
        }
    }
    if lots.len() < LOTS {
        let more = lots::emptiest(app, 2 * LOTS).await?;
        let more: Vec<Lot> =
            more.into_iter().filter(|lot| lots.iter().all(|known| known.id != lot.id)).collect();
        lots.extend(more);
        lots.truncate(LOTS);
    }
    let Seen { created_at, last_login_at, last_booking_at } = seen(app, user_id).await?;
    Ok(Figures {
        away: now - last_login_at.max(last_booking_at).unwrap_or(created_at),
        idle: now - last_booking_at.unwrap_or(created_at),
        bookings: used.iter().map(|lot| lot.bookings).sum(),
        micros: used.iter().map(|lot| lot.micros).sum(),
        spent: Money::from_minor(used.iter().map(|lot| lot.spent).sum()),
        lots,
    })
}

#[derive(FromQueryResult)]
struct Seen {
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
    last_booking_at: Option<DateTime<Utc>>,
}

async fn seen(app: &App, user_id: i64) -> Result<Seen> {
    let db = app.db.read();
    let text = "SELECT u.created_at, u.last_login_at,
            (SELECT r.created_at FROM reservations r WHERE r.user_id = u.id ORDER BY r.id DESC LIMIT 1) AS last_booking_at
        FROM users u WHERE u.id = $1";
    let seen = Seen::find_by_statement(sql(db, text, [user_id.into()])).one(db).await?;
    seen.ok_or(Error::NotFound("user"))
}
