//! What administrators do to lots: open them, change them, close them.
//!
//! A booking locks its spot before it takes it, and so does whoever retires one: the first to come decides, and the second
//! sees what the first has done. Lots are locked against each other's changes only, never against bookings.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use super::{Lot, etag, find_in};
use crate::{
    app::App,
    base::{
        error::{Error, FieldError, Result},
        money::Money,
    },
    parking::bookings,
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, at, retry_on_conflict, row_lock, sql},
        entities::{lot, spot},
        idempotency::Idempotency,
    },
};

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

/// What is to be different about a lot; the rest stays as it is.
#[derive(Debug, Clone, Default)]
pub struct LotChange {
    /// Its name.
    pub location_name: Option<String>,
    /// Per started hour, for sessions that begin from now on.
    pub price: Option<Money>,
    /// Where it is.
    pub address: Option<String>,
    /// Postal code.
    pub pincode: Option<String>,
    /// How many spots it is to have.
    pub number_of_slots: Option<i64>,
}

/// Opens a lot with all its spots.
///
/// # Errors
/// [`Error::Invalid`] with every wrong field.
pub async fn create(app: &App, mut new: NewLot, keep: Idempotency<Lot>) -> Result<Lot> {
    check([&mut new.location_name, &mut new.address, &mut new.pincode].map(Some), Some(new.number_of_slots))?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let row = lot::ActiveModel {
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
    add_spots(&tx, row.id, 1, row.number_of_slots).await?;
    let lot = find_in(&tx, row.id).await?;
    keep.store(&tx, &lot).await?;
    tx.commit().await?;
    app.counters.record(Event::LotCreated);
    app.cache.invalidate(&[Group::Catalog]).await;
    Ok(lot)
}

/// Changes a lot. More spots: those that were retired come back, then new ones are added. Fewer: free ones go first, and
/// those that are held when their last reservation ends.
///
/// `if_match` are the tags of `If-Match`, one of which must be of the lot as it is now.
///
/// # Errors
/// [`Error::Invalid`] with every wrong field; [`Error::NotFound`] without such an open lot; [`Error::Changed`].
pub async fn update(app: &App, id: i64, mut change: LotChange, if_match: Option<&str>) -> Result<Lot> {
    let texts = [&mut change.location_name, &mut change.address, &mut change.pincode];
    check(texts.map(Option::as_mut), change.number_of_slots)?;
    let lot = retry_on_conflict(|| try_to_update(app, id, &change, if_match)).await?;
    app.cache.invalidate(&[Group::Catalog]).await;
    Ok(lot)
}

async fn try_to_update(app: &App, id: i64, change: &LotChange, if_match: Option<&str>) -> Result<Lot> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let lot = lock(&tx, id).await?;
    if if_match.is_some_and(|tags| !etag::matches(tags, id, lot.version)) {
        return Err(Error::Changed);
    }
    let slots = change.number_of_slots.unwrap_or(lot.number_of_slots);
    if slots > lot.number_of_slots {
        grow(&tx, id, slots - lot.number_of_slots).await?;
    } else if slots < lot.number_of_slots {
        shrink(&tx, id, lot.number_of_slots - slots, now).await?;
    }
    lot::ActiveModel {
        id: Set(id),
        location_name: Set(change.location_name.clone().unwrap_or(lot.location_name)),
        address: Set(change.address.clone().unwrap_or(lot.address)),
        pincode: Set(change.pincode.clone().unwrap_or(lot.pincode)),
        price_minor: Set(change.price.map_or(lot.price_minor, Money::minor)),
        number_of_slots: Set(slots),
        version: Set(lot.version + 1),
        updated_at: Set(now),
        ..Default::default()
    }
    .update(&tx)
    .await?;
    let lot = find_in(&tx, id).await?;
    tx.commit().await?;
    Ok(lot)
}

/// Closes a lot for good. Its reservations keep it, with its name.
///
/// # Errors
/// [`Error::NotFound`] without such an open lot; [`Error::Conflict`] while somebody holds or has reserved one of its spots.
pub async fn archive(app: &App, id: i64) -> Result<()> {
    bookings::expire_of_lot(app, id).await?;
    retry_on_conflict(|| try_to_archive(app, id)).await?;
    app.counters.record(Event::LotDeleted);
    app.cache.invalidate(&[Group::Catalog]).await;
    Ok(())
}

async fn try_to_archive(app: &App, id: i64) -> Result<()> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    lock(&tx, id).await?;
    // Asked twice: bookings pass over spots that are locked, so those of a busy lot are left alone. Once they are
    // retired, which waits for the bookings in flight, nobody can come any more.
    refuse_in_use(&tx, id).await?;
    let text = "UPDATE spots SET retiring = FALSE, retired_at = $2 WHERE lot_id = $1 AND retired_at IS NULL";
    tx.execute_raw(sql(&tx, text, [id.into(), at(now)])).await?;
    refuse_in_use(&tx, id).await?;
    let text = "UPDATE lots SET archived_at = $2, updated_at = $2, version = version + 1 WHERE id = $1";
    tx.execute_raw(sql(&tx, text, [id.into(), at(now)])).await?;
    tx.commit().await?;
    Ok(())
}

async fn refuse_in_use(tx: &Transaction, id: i64) -> Result<()> {
    let text =
        "SELECT 1 AS one FROM reservations WHERE lot_id = $1 AND state IN ('reserved', 'active') LIMIT 1";
    match tx.query_one_raw(sql(tx, text, [id.into()])).await? {
        Some(_) => Err(Error::conflict(
            "lot_in_use",
            "spots of the parking lot are occupied or reserved; delete it when they are free",
        )),
        None => Ok(()),
    }
}

/// The open lot, kept from other changes until the end of the transaction. Reservations refer to it meanwhile, which
/// a plain `FOR UPDATE` would keep them from.
async fn lock(tx: &Transaction, id: i64) -> Result<lot::Model> {
    let lock = row_lock(tx, "FOR NO KEY UPDATE");
    let text = format!("SELECT * FROM lots WHERE id = $1 AND archived_at IS NULL {lock}");
    let row = lot::Model::find_by_statement(sql(tx, &text, [id.into()])).one(tx).await?;
    row.ok_or(Error::NotFound("parking lot"))
}

async fn grow(tx: &Transaction, lot_id: i64, more: i64) -> Result<()> {
    let text = "
        WITH back AS MATERIALIZED (
            SELECT id FROM spots WHERE lot_id = $1 AND (retiring OR retired_at IS NOT NULL)
            ORDER BY retired_at IS NOT NULL, number LIMIT $2)
        UPDATE spots SET retiring = FALSE, retired_at = NULL WHERE id IN (SELECT id FROM back)";
    let back = tx.execute_raw(sql(tx, text, [lot_id.into(), more.into()])).await?.rows_affected();
    let new = more - i64::try_from(back).unwrap_or(more);
    let text = "SELECT COALESCE(MAX(number), 0) AS highest FROM spots WHERE lot_id = $1";
    let row = tx.query_one_raw(sql(tx, text, [lot_id.into()])).await?;
    let highest: i64 = row.map_or(Ok(0), |row| row.try_get("", "highest"))?;
    add_spots(tx, lot_id, highest + 1, highest + new).await
}

async fn add_spots(tx: &Transaction, lot_id: i64, first: i64, last: i64) -> Result<()> {
    let numbers: Vec<i64> = (first..=last).collect();
    for chunk in numbers.chunks(1_000) {
        let spots = chunk.iter().map(|number| spot::ActiveModel {
            lot_id: Set(lot_id),
            number: Set(*number),
            retiring: Set(false),
            retired_at: Set(None),
            ..Default::default()
        });
        spot::Entity::insert_many(spots).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// A spot that leaves service and has nothing to wait for any more.
const LEFT: &str = "retired_at IS NULL AND retiring AND NOT EXISTS (
    SELECT 1 FROM reservations r WHERE r.spot_id = spots.id AND r.state IN ('reserved', 'active'))";

/// Only the spots that leave are locked, so that bookings find the others. Whoever was just booking one of them has ended
/// when the second statement looks which are free.
async fn shrink(tx: &Transaction, lot_id: i64, fewer: i64, now: DateTime<Utc>) -> Result<()> {
    let lock = row_lock(tx, "FOR UPDATE OF s");
    let mark = format!(
        "WITH gone AS MATERIALIZED (
            SELECT s.id FROM spots s WHERE s.lot_id = $1 AND s.retired_at IS NULL AND NOT s.retiring
            ORDER BY EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active')),
                s.number DESC
            LIMIT $2 {lock})
         UPDATE spots SET retiring = TRUE WHERE id IN (SELECT id FROM gone)"
    );
    tx.execute_raw(sql(tx, &mark, [lot_id.into(), fewer.into()])).await?;
    let retire = format!("UPDATE spots SET retiring = FALSE, retired_at = $2 WHERE lot_id = $1 AND {LEFT}");
    tx.execute_raw(sql(tx, &retire, [lot_id.into(), at(now)])).await?;
    Ok(())
}

/// Notes since when spots are out of service that were left by their last reservation. They count as out of service
/// before, so it does not matter when this happens. Returns how many there were.
///
/// # Errors
/// Those of the database.
pub async fn finish_retirements(app: &App) -> Result<u64> {
    let db = app.db.write();
    let lock = row_lock(db, "FOR UPDATE SKIP LOCKED");
    let text = format!(
        "WITH gone AS MATERIALIZED (SELECT id FROM spots WHERE {LEFT} {lock})
         UPDATE spots SET retiring = FALSE, retired_at = $1 WHERE id IN (SELECT id FROM gone)"
    );
    Ok(db.execute_raw(sql(db, &text, [at(app.clock.now())])).await?.rows_affected())
}

/// Trims the texts: name, address, postal code.
fn check(texts: [Option<&mut String>; 3], slots: Option<i64>) -> Result<()> {
    let rules = [("/location_name", 100), ("/address", 200), ("/pincode", 10)];
    let mut wrong = Vec::new();
    for ((pointer, most), text) in rules.into_iter().zip(texts) {
        let Some(text) = text else { continue };
        *text = text.trim().to_owned();
        if !(1..=most).contains(&text.chars().count()) || text.contains('\0') {
            let message = format!("must have 1 to {most} characters, none of them NUL");
            wrong.push(FieldError { pointer: pointer.into(), message });
        }
    }
    if slots.is_some_and(|slots| !(1..=10_000).contains(&slots)) {
        let message = "must be a whole number from 1 to 10000".into();
        wrong.push(FieldError { pointer: "/number_of_slots".into(), message });
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}
