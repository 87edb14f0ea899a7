//! Spots as administrators see them: their status and who holds them.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::availability::{HOLDS, Moment};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        page::{Page, Paged},
    },
    platform::db::sql,
};

/// Whether a spot is in use. Derived from the reservations, not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Free for a driver without a reservation.
    Available,
    /// A session is running.
    Occupied,
    /// Kept for a reservation that begins soon or has begun; the driver has not arrived yet.
    Reserved,
}

impl Status {
    /// The name that is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Occupied => "occupied",
            Self::Reserved => "reserved",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Available, Self::Occupied, Self::Reserved]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or("must be available, occupied or reserved")
    }
}

/// The driver who occupies a spot, or for whose reservation it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Their reservation.
    pub reservation_id: i64,
    /// The driver.
    pub user_id: i64,
    /// The arrival, or the beginning of the reserved window.
    pub from: DateTime<Utc>,
    /// The end of the reserved window; `None` without one.
    pub until: Option<DateTime<Utc>>,
    /// The plate of the car.
    pub plate: Option<String>,
}

/// A spot in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Identifies the spot among those of all lots.
    pub id: i64,
    /// The number in the lot, from 1.
    pub number: i64,
    /// The lot.
    pub lot_id: i64,
    /// Whether it is in use.
    pub status: Status,
    /// `None` when it is available.
    pub holder: Option<Holder>,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    number: i64,
    lot_id: i64,
    reservation_id: Option<i64>,
    user_id: Option<i64>,
    state: Option<String>,
    begins_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    plate: Option<String>,
}

impl From<Row> for Spot {
    fn from(row: Row) -> Self {
        let holder = match (row.reservation_id, row.user_id, row.begins_at) {
            (Some(reservation_id), Some(user_id), Some(from)) => {
                Some(Holder { reservation_id, user_id, from, until: row.ends_at, plate: row.plate })
            }
            _ => None,
        };
        let status = match row.state.as_deref() {
            None => Status::Available,
            Some("active") => Status::Occupied,
            Some(_) => Status::Reserved,
        };
        Self { id: row.id, number: row.number, lot_id: row.lot_id, status, holder }
    }
}

/// Each spot with the reservation that holds it now: 'active' sorts before 'reserved'. A retiring spot is included as
/// long as it has a reservation.
fn select() -> String {
    format!(
        "SELECT s.id, s.number, s.lot_id, r.id AS reservation_id, r.user_id, r.state,
            COALESCE(r.arrived_at, r.starts_at) AS begins_at, r.ends_at, r.plate
         FROM spots s JOIN lots l ON l.id = s.lot_id
         LEFT JOIN reservations r ON r.id = (
            SELECT r.id FROM reservations r WHERE r.spot_id = s.id AND {HOLDS} ORDER BY r.state, r.starts_at LIMIT 1)
         WHERE l.archived_at IS NULL AND s.retired_at IS NULL AND (NOT s.retiring OR EXISTS (
            SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active')))"
    )
}

/// The spots in service of all open lots, by id.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Spot>> {
    let db = app.db.read();
    let text = format!("{} AND s.id > $3 ORDER BY s.id LIMIT $4", select());
    let page_values = [page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let values = Moment::of(app).values().into_iter().chain(page_values);
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    Ok(page.trim(rows).map(Spot::from))
}

/// The spots in service of one lot, by number.
pub async fn of_lot(app: &App, lot_id: i64, page: &Page) -> Result<Paged<Spot>> {
    let db = app.db.read();
    let text = format!("{} AND s.lot_id = $3 AND s.number > $4 ORDER BY s.number LIMIT $5", select());
    let more = [lot_id.into(), page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let values = Moment::of(app).values().into_iter().chain(more);
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    Ok(page.trim(rows).map(Spot::from))
}

/// One spot in service.
///
/// # Errors
/// [`Error::NotFound`], also for a spot that is out of service or whose lot is archived.
pub async fn find(app: &App, id: i64) -> Result<Spot> {
    find_in(app.db.read(), id, Moment::of(app)).await
}

/// As [`find`], inside a transaction.
pub(crate) async fn find_in(db: &impl ConnectionTrait, id: i64, moment: Moment) -> Result<Spot> {
    let text = format!("{} AND s.id = $3", select());
    let values = moment.values().into_iter().chain([id.into()]);
    let row = Row::find_by_statement(sql(db, &text, values)).one(db).await?;
    row.map(Spot::from).ok_or(Error::NotFound("parking spot"))
}
