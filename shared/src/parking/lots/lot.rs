//! A lot as drivers see it, and its free spots.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::{
    availability::{self, Moment, count_free_now, fits, free_in_window, free_now, is_kept, window_values},
    terms::version_in_force,
};
use crate::{
    app::App,
    base::{
        error::{Error, FieldError, Result},
        money::Money,
        page::{Page, Paged},
    },
    parking::rules::{
        pricing::{Pricing, Terms},
        window::Window,
    },
    platform::{
        db::{Transaction, at, row_lock, sql},
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
    /// Per started hour, unless the tariff has terms.
    pub price: Money,
    /// The postal address.
    pub address: String,
    /// The postal code.
    pub pincode: String,
    /// The number of spots in service.
    pub number_of_slots: i64,
    /// The number of spots that a driver may take now or, if a window was asked for, reserve.
    pub available_slots: i64,
    /// Starts at 1 and increases with each change by an administrator.
    pub version: i64,
    /// The tariff version in force; `None` if the lot never had one.
    pub tariff_version_id: Option<i64>,
    /// Its terms; `None` if every started hour costs the price.
    pub terms: Option<Arc<Terms>>,
}

impl Lot {
    /// What stays that begin now are billed by.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        Pricing { hourly_rate: self.price, terms: self.terms.clone() }
    }
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
    tariff_version_id: Option<i64>,
    terms: Option<String>,
}

impl TryFrom<Row> for Lot {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let pricing = Pricing::read(Money::from_minor(row.price_minor), row.terms.as_deref())?;
        Ok(Self {
            id: row.id,
            location_name: row.location_name,
            price: pricing.hourly_rate,
            address: row.address,
            pincode: row.pincode,
            number_of_slots: row.number_of_slots,
            available_slots: row.available_slots.max(0),
            version: row.version,
            tariff_version_id: row.tariff_version_id,
            terms: pricing.terms,
        })
    }
}

/// Availability is counted from the reservations, so it cannot drift from them. `available_slots` may be negative. `$1` is the time.
pub(crate) fn select(available: &str) -> String {
    format!(
        "SELECT l.id, l.location_name, l.price_minor, l.address, l.pincode, l.number_of_slots, l.version,
            {available} AS available_slots, t.id AS tariff_version_id, t.terms
         FROM lots l LEFT JOIN tariff_versions t ON t.id = {} WHERE l.archived_at IS NULL",
        version_in_force("l.id")
    )
}

/// When spots are to be free: now, or in a window.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// For a driver without a reservation.
    Now(Moment),
    /// For a reservation that is made now.
    Window(Moment, Window),
}

impl When {
    /// The query for lots, and its first values.
    fn query(self, app: &App) -> (String, Vec<Value>) {
        match self {
            Self::Now(moment) => (select(&free_now()), moment.values().into()),
            Self::Window(moment, window) => {
                (select(&free_in_window()), window_values(&app.config.parking, moment, window))
            }
        }
    }
}

async fn rows(
    app: &App,
    when: When,
    condition: &str,
    more: impl IntoIterator<Item = Value>,
) -> Result<Vec<Row>> {
    let (db, (text, mut values)) = (app.db.read(), when.query(app));
    let first = values.len() + 1;
    let condition = (0..3).fold(condition.to_owned(), |condition, n| {
        condition.replace(&format!("{{{}}}", n + 1), &format!("${}", first + n))
    });
    let text = format!("{text} {condition}");
    values.extend(more);
    Ok(Row::find_by_statement(sql(db, &text, values)).all(db).await?)
}

fn read(page: &Page, rows: Vec<Row>) -> Result<Paged<Lot>> {
    Ok(page.trim(rows.into_iter().map(Lot::try_from).collect::<Result<_>>()?))
}

/// The open lots, by id.
pub async fn list(app: &App, page: &Page, when: When) -> Result<Paged<Lot>> {
    let values = [page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    let rows = rows(app, when, "AND l.id > {1} ORDER BY l.id LIMIT {2}", values).await?;
    read(page, rows)
}

/// The open lots that are assigned to an attendant, by id.
pub async fn assigned_to(app: &App, user_id: i64, page: &Page) -> Result<Paged<Lot>> {
    let condition = "AND l.id > {1} AND l.id IN (SELECT a.lot_id FROM attendant_lots a WHERE a.user_id = {3})
        ORDER BY l.id LIMIT {2}";
    let values = [page.after.unwrap_or(0).into(), page.fetch_limit().into(), user_id.into()];
    let rows = rows(app, When::Now(Moment::of(app)), condition, values).await?;
    read(page, rows)
}

/// One open lot.
pub async fn find(app: &App, id: i64, when: When) -> Result<Lot> {
    let row = rows(app, when, "AND l.id = {1}", [id.into()]).await?.pop();
    row.ok_or(Error::NotFound("parking lot"))?.try_into()
}

pub(super) async fn find_in(db: &impl ConnectionTrait, id: i64, moment: Moment) -> Result<Lot> {
    let text = format!("{} AND l.id = $3", select(&free_now()));
    let values = moment.values().into_iter().chain([id.into()]);
    let row = Row::find_by_statement(sql(db, &text, values)).one(db).await?;
    row.ok_or(Error::NotFound("parking lot"))?.try_into()
}

/// Locks an open lot against other changes. Reservations that refer to it can still be written, which a plain
/// `FOR UPDATE` would prevent.
pub(crate) async fn lock(tx: &Transaction, id: i64) -> Result<lot::Model> {
    let lock = row_lock(tx, "FOR NO KEY UPDATE");
    let text = format!("SELECT * FROM lots WHERE id = $1 AND archived_at IS NULL {lock}");
    let row = lot::Model::find_by_statement(sql(tx, &text, [id.into()])).one(tx).await?;
    row.ok_or(Error::NotFound("parking lot"))
}

/// Counts a change of what belongs to a lot as one of the lot, so that entity tags show it.
pub(crate) async fn touch(tx: &Transaction, lot: &lot::Model, now: DateTime<Utc>) -> Result<()> {
    let text = "UPDATE lots SET version = version + 1, updated_at = $2 WHERE id = $1";
    tx.execute_raw(sql(tx, text, [lot.id.into(), at(now)])).await?;
    Ok(())
}

/// The lots with the largest share of free spots, without those that are full.
pub async fn emptiest(app: &App, count: usize) -> Result<Vec<Lot>> {
    let db = app.db.read();
    let text = format!(
        "SELECT * FROM ({}) AS l WHERE l.available_slots > 0
         ORDER BY 1.0 * l.available_slots / l.number_of_slots DESC, l.id LIMIT {count}",
        select(&free_now())
    );
    let rows = Row::find_by_statement(sql(db, &text, Moment::of(app).values())).all(db).await?;
    rows.into_iter().map(Lot::try_from).collect()
}

/// A lot and its free spots, by number. While windows are displaced, the spots that are left for them are not listed:
/// those with the earliest next window.
pub async fn free_spots(app: &App, id: i64, page: &Page, when: When) -> Result<(Lot, Paged<FreeSpot>)> {
    let (db, lot) = (app.db.read(), find(app, id, when).await?);
    let (after, limit) = (page.after.unwrap_or(0), page.fetch_limit());
    let rows = match when {
        When::Now(moment) => {
            let text = format!(
                "SELECT id, number FROM (
                    SELECT s.id, s.number, ROW_NUMBER() OVER (
                        ORDER BY COALESCE((SELECT MIN(r.starts_at) FROM reservations r
                            WHERE r.spot_id = s.id AND r.state = 'reserved'), '9999-01-01') DESC, s.number) AS place
                    {}) AS free
                 WHERE place <= $4 AND number > $5 ORDER BY number LIMIT $6",
                availability::free_spots()
            );
            let more = [id.into(), lot.available_slots.into(), after.into(), limit.into()];
            sql(db, &text, moment.values().into_iter().chain(more))
        }
        When::Window(moment, window) => {
            let has_none = lot.available_slots == 0;
            let kept_only = window.from < moment.due && count_free_now(db, id, moment).await? <= 0;
            let text = format!(
                "SELECT s.id, s.number FROM spots s
                 WHERE s.lot_id = $7 AND NOT $8 AND {} AND (NOT $9 OR ({})) AND s.number > $10
                 ORDER BY s.number LIMIT $11",
                fits(),
                is_kept()
            );
            let mut values = window_values(&app.config.parking, moment, window);
            values.extend([id.into(), has_none.into(), kept_only.into(), after.into(), limit.into()]);
            sql(db, &text, values)
        }
    };
    Ok((lot, page.trim(FreeSpot::find_by_statement(rows).all(db).await?)))
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
