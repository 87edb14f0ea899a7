//! Car parks: their tariff, their spots, and how many of those are free.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use crate::{
    app::App,
    db::sql,
    entities::{lot, spot},
    error::{Error, FieldError, Result},
    money::Money,
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
}

/// What an administrator tells to open a lot.
#[derive(Debug, Clone)]
pub struct NewLot {
    /// Its name.
    pub location_name: String,
    /// Per started hour.
    pub price: Money,
    /// Where it is.
    pub address: String,
    /// Postal code.
    pub pincode: String,
    /// How many spots it gets.
    pub number_of_slots: i64,
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
        }
    }
}

/// Availability counts rows, so it cannot drift: spots in service less those held or reserved.
pub(crate) const SELECT: &str = "
    SELECT l.id, l.location_name, l.price_minor, l.address, l.pincode, l.number_of_slots,
        (SELECT COUNT(*) FROM spots s WHERE s.lot_id = l.id AND s.retired_at IS NULL AND NOT s.retiring)
        - (SELECT COUNT(DISTINCT r.spot_id) FROM reservations r JOIN spots s ON s.id = r.spot_id
           WHERE r.lot_id = l.id AND r.state IN ('reserved', 'active') AND s.retired_at IS NULL AND NOT s.retiring)
        AS available_slots
    FROM lots l WHERE l.archived_at IS NULL";

/// The spots of lot `$1` that nobody holds or has reserved.
pub(crate) const FREE_SPOTS: &str = "
    FROM spots s JOIN lots l ON l.id = s.lot_id
    WHERE s.lot_id = $1 AND l.archived_at IS NULL AND s.retired_at IS NULL AND NOT s.retiring
      AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active'))
    ORDER BY s.number";

/// Every open lot, by id.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App) -> Result<Vec<Lot>> {
    let statement = sql(app.db.read(), &format!("{SELECT} ORDER BY l.id LIMIT 10000"), []);
    Ok(Row::find_by_statement(statement).all(app.db.read()).await?.into_iter().map(Lot::from).collect())
}

/// One open lot.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this id, or it is archived.
pub async fn find(app: &App, id: i64) -> Result<Lot> {
    let statement = sql(app.db.read(), &format!("{SELECT} AND l.id = $1"), [id.into()]);
    Row::find_by_statement(statement)
        .one(app.db.read())
        .await?
        .map(Lot::from)
        .ok_or(Error::NotFound("parking lot"))
}

/// A lot and its free spots, by number.
///
/// # Errors
/// As [`find`].
pub async fn free_spots(app: &App, id: i64) -> Result<(Lot, Vec<FreeSpot>)> {
    let lot = find(app, id).await?;
    let statement = sql(app.db.read(), &format!("SELECT s.id, s.number {FREE_SPOTS}"), [id.into()]);
    Ok((lot, FreeSpot::find_by_statement(statement).all(app.db.read()).await?))
}

/// Opens a lot with all its spots.
///
/// # Errors
/// [`Error::Invalid`] with every wrong field.
pub async fn create(app: &App, new: NewLot) -> Result<Lot> {
    let new = checked(new)?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let lot = lot::ActiveModel {
        location_name: Set(new.location_name),
        address: Set(new.address),
        pincode: Set(new.pincode),
        price_minor: Set(new.price.minor()),
        number_of_slots: Set(new.number_of_slots),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        archived_at: Set(None),
        ..Default::default()
    }
    .insert(&tx)
    .await?;
    let numbers: Vec<i64> = (1..=new.number_of_slots).collect();
    for chunk in numbers.chunks(1_000) {
        let spots = chunk.iter().map(|number| spot::ActiveModel {
            lot_id: Set(lot.id),
            number: Set(*number),
            retiring: Set(false),
            retired_at: Set(None),
            ..Default::default()
        });
        spot::Entity::insert_many(spots).exec_without_returning(&tx).await?;
    }
    tx.commit().await?;
    find(app, lot.id).await
}

fn checked(mut new: NewLot) -> Result<NewLot> {
    let mut wrong = Vec::new();
    for (pointer, text, most) in [
        ("/location_name", &mut new.location_name, 100),
        ("/address", &mut new.address, 200),
        ("/pincode", &mut new.pincode, 10),
    ] {
        *text = text.trim().to_owned();
        let length = text.chars().count();
        if length == 0 || length > most || text.contains('\0') {
            let message = format!("must have 1 to {most} characters, none of them NUL");
            wrong.push(FieldError { pointer: pointer.into(), message });
        }
    }
    if !(1..=10_000).contains(&new.number_of_slots) {
        wrong.push(FieldError {
            pointer: "/number_of_slots".into(),
            message: "must be a whole number from 1 to 10000".into(),
        });
    }
    if wrong.is_empty() { Ok(new) } else { Err(Error::Invalid(wrong)) }
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
