//! Car parks: their tariff, their spots, and how many of those are free.

mod change;
mod etag;
pub mod spots;

use sea_orm::{ConnectionTrait, FromQueryResult};

pub use self::{
    change::{LotChange, NewLot, archive, create, finish_retirements, update},
    etag::{etag, matches},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
        page::{Page, Paged},
    },
    platform::db::sql,
};

/// A lot as drivers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub location_name: String,
    /// Per started hour.
    pub price: Money,
    /// Where it is.
    pub address: String,
    /// Postal code.
    pub pincode: String,
    /// Spots in service.
    pub number_of_slots: i64,
    /// Spots that nobody holds or has reserved.
    pub available_slots: i64,
    /// Counts the changes by administrators, from 1.
    pub version: i64,
}

/// A spot that can be booked.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct FreeSpot {
    /// Its id.
    pub id: i64,
    /// Its number in the lot, from 1.
    pub number: i64,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    location_name: String,
    price_minor: i64,
    address: String,
    pincode: String,
    number_of_slots: i64,
    available_slots: i64,
    version: i64,
}

impl From<Row> for Lot {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            location_name: row.location_name,
            price: Money::from_minor(row.price_minor),
            address: row.address,
            pincode: row.pincode,
            number_of_slots: row.number_of_slots,
            available_slots: row.available_slots,
            version: row.version,
        }
    }
}

/// Availability counts rows, so it cannot drift: spots in service less those held or reserved.
pub(crate) const SELECT: &str = "
    SELECT l.id, l.location_name, l.price_minor, l.address, l.pincode, l.number_of_slots, l.version,
        (SELECT COUNT(*) FROM spots s WHERE s.lot_id = l.id AND s.retired_at IS NULL AND NOT s.retiring)
        - (SELECT COUNT(DISTINCT r.spot_id) FROM reservations r JOIN spots s ON s.id = r.spot_id
           WHERE r.lot_id = l.id AND r.state IN ('reserved', 'active') AND s.retired_at IS NULL AND NOT s.retiring)
        AS available_slots
    FROM lots l WHERE l.archived_at IS NULL";

/// The spots of lot `$1` that nobody holds or has reserved.
pub(crate) const FREE_SPOTS: &str = "
    FROM spots s JOIN lots l ON l.id = s.lot_id
    WHERE s.lot_id = $1 AND l.archived_at IS NULL AND s.retired_at IS NULL AND NOT s.retiring
      AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active'))";

/// The open lots, by id.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Lot>> {
    let db = app.db.read();
    let text = format!("{SELECT} AND l.id > $1 ORDER BY l.id LIMIT $2");
    let values = [page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    Ok(page.trim(rows).map(Lot::from))
}

/// One open lot.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this id, or it is archived.
pub async fn find(app: &App, id: i64) -> Result<Lot> {
    find_in(app.db.read(), id).await
}

async fn find_in(db: &impl ConnectionTrait, id: i64) -> Result<Lot> {
    let row =
        Row::find_by_statement(sql(db, &format!("{SELECT} AND l.id = $1"), [id.into()])).one(db).await?;
    row.map(Lot::from).ok_or(Error::NotFound("parking lot"))
}

/// The open lots with the largest share of free spots, none that is full.
///
/// # Errors
/// Those of the database.
pub async fn emptiest(app: &App, count: usize) -> Result<Vec<Lot>> {
    let db = app.db.read();
    let text = format!(
        "SELECT * FROM ({SELECT}) AS l WHERE l.available_slots > 0
         ORDER BY 1.0 * l.available_slots / l.number_of_slots DESC, l.id LIMIT {count}"
    );
    let rows = Row::find_by_statement(sql(db, &text, [])).all(db).await?;
    Ok(rows.into_iter().map(Lot::from).collect())
}

/// A lot and its free spots, by number.
///
/// # Errors
/// As [`find`].
pub async fn free_spots(app: &App, id: i64, page: &Page) -> Result<(Lot, Paged<FreeSpot>)> {
    let lot = find(app, id).await?;
    let text = format!("SELECT s.id, s.number {FREE_SPOTS} AND s.number > $2 ORDER BY s.number LIMIT $3");
    let values = [id.into(), page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let spots = FreeSpot::find_by_statement(sql(app.db.read(), &text, values)).all(app.db.read()).await?;
    Ok((lot, page.trim(spots)))
}

/// Why no spot of the lot could be had: it does not exist, or it is full.
pub(crate) async fn explain_no_spot(db: &impl ConnectionTrait, id: i64) -> Error {
    let open = db
        .query_one_raw(sql(
            db,
            "SELECT 1 AS one FROM lots WHERE id = $1 AND archived_at IS NULL",
            [id.into()],
        ))
        .await;
    match open {
        Ok(Some(_)) => Error::conflict("lot_full", "the parking lot is full; try another one"),
        Ok(None) => Error::NotFound("parking lot"),
        Err(error) => error.into(),
    }
}
