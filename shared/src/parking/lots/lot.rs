//! A lot as drivers see it, and its free spots.

use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    app::App,
    base::{
        error::{Error, FieldError, Result},
        money::Money,
        page::{Page, Paged},
    },
    platform::{
        db::{Transaction, row_lock, sql},
        entities::lot,
    },
};

/// An open lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// Identifies the lot.
    pub id: i64,
    /// The name.
    pub location_name: String,
    /// Per started hour.
    pub price: Money,
    /// The postal address.
    pub address: String,
    /// The postal code.
    pub pincode: String,
    /// The number of spots in service.
    pub number_of_slots: i64,
    /// The number of spots that are neither occupied nor reserved.
    pub available_slots: i64,
    /// Starts at 1 and increases with each change by an administrator.
    pub version: i64,
}

/// A spot that can be booked.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct FreeSpot {
    /// Identifies the spot among those of all lots.
    pub id: i64,
    /// The number in the lot, from 1.
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

/// Availability is counted from the reservations, so it cannot drift from them.
pub(crate) const SELECT: &str = "
    SELECT l.id, l.location_name, l.price_minor, l.address, l.pincode, l.number_of_slots, l.version,
        (SELECT COUNT(*) FROM spots s WHERE s.lot_id = l.id AND s.retired_at IS NULL AND NOT s.retiring)
        - (SELECT COUNT(DISTINCT r.spot_id) FROM reservations r JOIN spots s ON s.id = r.spot_id
           WHERE r.lot_id = l.id AND r.state IN ('reserved', 'active') AND s.retired_at IS NULL AND NOT s.retiring)
        AS available_slots
    FROM lots l WHERE l.archived_at IS NULL";

/// The spots of lot `$1` that are neither occupied nor reserved.
pub(crate) const FREE_SPOTS: &str = "
    FROM spots s JOIN lots l ON l.id = s.lot_id
    WHERE s.lot_id = $1 AND l.archived_at IS NULL AND s.retired_at IS NULL AND NOT s.retiring
      AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active'))";

/// The open lots, by id.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Lot>> {
    let db = app.db.read();
    let text = format!("{SELECT} AND l.id > $1 ORDER BY l.id LIMIT $2");
    let values = [page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    Ok(page.trim(rows).map(Lot::from))
}

/// One open lot.
pub async fn find(app: &App, id: i64) -> Result<Lot> {
    find_in(app.db.read(), id).await
}

pub(super) async fn find_in(db: &impl ConnectionTrait, id: i64) -> Result<Lot> {
    let row =
        Row::find_by_statement(sql(db, &format!("{SELECT} AND l.id = $1"), [id.into()])).one(db).await?;
    row.map(Lot::from).ok_or(Error::NotFound("parking lot"))
}

/// Locks an open lot against other changes. Reservations that refer to it can still be written, which a plain
/// `FOR UPDATE` would prevent.
pub(super) async fn lock(tx: &Transaction, id: i64) -> Result<lot::Model> {
    let lock = row_lock(tx, "FOR NO KEY UPDATE");
    let text = format!("SELECT * FROM lots WHERE id = $1 AND archived_at IS NULL {lock}");
    let row = lot::Model::find_by_statement(sql(tx, &text, [id.into()])).one(tx).await?;
    row.ok_or(Error::NotFound("parking lot"))
}

/// The lots with the largest share of free spots, without those that are full.
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
pub async fn free_spots(app: &App, id: i64, page: &Page) -> Result<(Lot, Paged<FreeSpot>)> {
    let (db, lot) = (app.db.read(), find(app, id).await?);
    let text = format!("SELECT s.id, s.number {FREE_SPOTS} AND s.number > $2 ORDER BY s.number LIMIT $3");
    let values = [id.into(), page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let spots = FreeSpot::find_by_statement(sql(db, &text, values)).all(db).await?;
    Ok((lot, page.trim(spots)))
}

/// Why no spot of the lot was free: the lot is full, or does not exist.
pub(crate) async fn explain_no_spot(db: &impl ConnectionTrait, id: i64) -> Error {
    let text = "SELECT 1 AS one FROM lots WHERE id = $1 AND archived_at IS NULL";
    match db.query_one_raw(sql(db, text, [id.into()])).await {
        Ok(Some(_)) => Error::conflict("lot_full", "the parking lot is full; try another one"),
        Ok(None) => Error::NotFound("parking lot"),
        Err(error) => error.into(),
    }
}

/// Trims the name, address and postal code, and checks them and the number of spots.
pub(super) fn validate(texts: [Option<&mut String>; 3], slots: Option<i64>) -> Result<()> {
    let rules = [("/location_name", 100), ("/address", 200), ("/pincode", 10)];
    let mut wrong = Vec::new();
    for ((pointer, max), text) in rules.into_iter().zip(texts) {
        let Some(text) = text else { continue };
        *text = text.trim().to_owned();
        if !(1..=max).contains(&text.chars().count()) || text.contains('\0') {
            let message = format!("must have 1 to {max} characters, none of them NUL");
            wrong.push(FieldError { pointer: pointer.into(), message });
        }
    }
    if slots.is_some_and(|slots| !(1..=10_000).contains(&slots)) {
        let message = "must be a whole number from 1 to 10000".into();
        wrong.push(FieldError { pointer: "/number_of_slots".into(), message });
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}
