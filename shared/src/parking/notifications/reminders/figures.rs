//! The figures in a reminder.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
    },
    parking::{
        lots::{self, Lot, Moment, When},
        reports::user::{self, LotUse},
    },
    platform::db::sql,
};

/// Lots listed in a reminder.
const LOTS: usize = 3;

#[derive(Debug, Clone)]
pub struct Figures {
    /// Time since the last login or booking, or else since registering.
    pub away: TimeDelta,
    /// Time since the last booking, or else since registering.
    pub idle: TimeDelta,
    /// All-time reservations, without cancelled and expired ones.
    pub bookings: i64,
    /// Total duration of ended stays, in microseconds.
    pub micros: i64,
    /// Amount billed for ended stays.
    pub spent: Money,
    /// Lots with free spots: those the driver used most, then the emptiest.
    pub lots: Vec<Lot>,
}

impl Figures {
    /// The current figures of a driver.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such user.
    pub(super) async fn load(app: &App, user_id: i64) -> Result<Self> {
        let now = app.clock.now();
        let used = user::by_lot(app.db.read(), user_id, DateTime::UNIX_EPOCH..now).await?;
        let Seen { created_at, last_login_at, last_booking_at } = Seen::find(app, user_id).await?;
        Ok(Self {
            away: now - last_login_at.max(last_booking_at).unwrap_or(created_at),
            idle: now - last_booking_at.unwrap_or(created_at),
            bookings: used.iter().map(|lot| lot.bookings).sum(),
            micros: used.iter().map(|lot| lot.micros).sum(),
            spent: Money::from_minor(used.iter().map(|lot| lot.billed).sum()),
            lots: free_lots(app, &used).await?,
        })
    }
}

async fn free_lots(app: &App, used: &[LotUse]) -> Result<Vec<Lot>> {
    let mut lots: Vec<Lot> = Vec::with_capacity(LOTS);
    for lot in used {
        match lots::find(app, lot.lot_id, When::Now(Moment::of(app))).await {
            Ok(lot) if lot.available_slots > 0 => lots.push(lot),
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        if lots.len() == LOTS {
            return Ok(lots);
        }
    }
    for lot in lots::emptiest(app, 2 * LOTS).await? {
        if lots.len() < LOTS && lots.iter().all(|known| known.id != lot.id) {
            lots.push(lot);
        }
    }
    Ok(lots)
}

#[derive(FromQueryResult)]
struct Seen {
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
    last_booking_at: Option<DateTime<Utc>>,
}

impl Seen {
    async fn find(app: &App, user_id: i64) -> Result<Self> {
        let db = app.db.read();
        let text = "SELECT u.created_at, u.last_login_at,
                (SELECT r.created_at FROM reservations r WHERE r.user_id = u.id ORDER BY r.id DESC LIMIT 1) AS last_booking_at
            FROM users u WHERE u.id = $1";
        let seen = Self::find_by_statement(sql(db, text, [user_id.into()])).one(db).await?;
        seen.ok_or(Error::NotFound("user"))
    }
}
