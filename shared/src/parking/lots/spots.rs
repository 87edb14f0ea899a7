//! Spots as administrators see them: who is there, or comes next.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        page::{Page, Paged},
    },
    platform::db::sql,
};

/// What a spot is used for. It follows from the reservations and is stored nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody holds it, nobody comes.
    Available,
    /// A session is running.
    Occupied,
    /// Somebody has reserved it and is still to come.
    Reserved,
}

impl Status {
    /// As sent.
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

/// Who is at a spot, or comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// By which reservation.
    pub reservation_id: i64,
    /// Who.
    pub user_id: i64,
    /// Arrival, or the begin of the window.
    pub from: DateTime<Utc>,
}

/// A spot in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Its id.
    pub id: i64,
    /// Where it is.
    pub lot_id: i64,
    /// What it is used for.
    pub status: Status,
    /// Nobody when it is available.
    pub holder: Option<Holder>,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    lot_id: i64,
    reservation_id: Option<i64>,
    user_id: Option<i64>,
    state: Option<String>,
    begins_at: Option<DateTime<Utc>>,
}

impl From<Row> for Spot {
    fn from(row: Row) -> Self {
        let holder = match (row.reservation_id, row.user_id, row.begins_at) {
            (Some(reservation_id), Some(user_id), Some(from)) => {
                Some(Holder { reservation_id, user_id, from })
            }
            _ => None,
        };
        let status = match row.state.as_deref() {
            None => Status::Available,
            Some("active") => Status::Occupied,
            Some(_) => Status::Reserved,
        };
        Self { id: row.id, lot_id: row.lot_id, status, holder }
    }
}

/// Each spot with the first of its live reservations: 'active' sorts before 'reserved'. One that leaves service is there
/// as long as it has any.
const SELECT: &str = "
    SELECT s.id, s.lot_id, r.id AS reservation_id, r.user_id, r.state, COALESCE(r.arrived_at, r.starts_at) AS begins_at
    FROM spots s JOIN lots l ON l.id = s.lot_id
    LEFT JOIN reservations r ON r.spot_id = s.id AND r.state IN ('reserved', 'active') AND NOT EXISTS (
        SELECT 1 FROM reservations e WHERE e.spot_id = r.spot_id AND e.state IN ('reserved', 'active')
          AND (e.state, e.starts_at) < (r.state, r.starts_at))
    WHERE l.archived_at IS NULL AND s.retired_at IS NULL AND (NOT s.retiring OR r.id IS NOT NULL)";

/// The spots in service of all open lots, by id.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Spot>> {
    let db = app.db.read();
    let text = format!("{SELECT} AND s.id > $1 ORDER BY s.id LIMIT $2");
    let values = [page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    Ok(page.trim(rows).map(Spot::from))
}

/// One spot in service.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this id, it has left service or its lot is archived.
pub async fn find(app: &App, id: i64) -> Result<Spot> {
    find_in(app.db.read(), id).await
}

/// The same, inside a transaction.
pub(crate) async fn find_in(db: &impl ConnectionTrait, id: i64) -> Result<Spot> {
    let row =
        Row::find_by_statement(sql(db, &format!("{SELECT} AND s.id = $1"), [id.into()])).one(db).await?;
    row.map(Spot::from).ok_or(Error::NotFound("parking spot"))
}
