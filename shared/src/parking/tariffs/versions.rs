//! The versions of a lot's tariff.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
        page::{Page, Paged},
    },
    parking::rules::pricing::Terms,
    platform::db::{Transaction, at, sql},
};

/// A version of a tariff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Identifies the version among those of all lots.
    pub id: i64,
    /// From when stays are booked by it.
    pub valid_from: DateTime<Utc>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// What every started hour costs, if it has no terms: it was made by a new price of the lot.
    pub hourly_rate: Option<Money>,
    /// Its terms.
    pub terms: Option<Terms>,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    valid_from: DateTime<Utc>,
    created_at: DateTime<Utc>,
    hourly_rate_minor: Option<i64>,
    terms: Option<String>,
}

impl TryFrom<Row> for Version {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            valid_from: row.valid_from,
            created_at: row.created_at,
            hourly_rate: row.hourly_rate_minor.map(Money::from_minor),
            terms: row.terms.as_deref().map(Terms::read).transpose()?,
        })
    }
}

/// The versions of an open lot, by id. A later version replaces an earlier one with the same beginning.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn list(app: &App, lot_id: i64, page: &Page) -> Result<Paged<Version>> {
    let db = app.db.read();
    check_lot(db, lot_id).await?;
    let condition = "id > $2 ORDER BY id LIMIT $3";
    let values = [page.after.unwrap_or(0).into(), page.fetch_limit().into()];
    Ok(page.trim(select(db, lot_id, condition, values).await?))
}

/// The versions of a lot that meet a condition with values from `$2` on.
pub(super) async fn select(
    db: &impl ConnectionTrait,
    lot_id: i64,
    condition: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Version>> {
    let text = format!(
        "SELECT id, valid_from, created_at, hourly_rate_minor, terms FROM tariff_versions
         WHERE lot_id = $1 AND {condition}"
    );
    let values = std::iter::once(lot_id.into()).chain(values);
    let rows = Row::find_by_statement(sql(db, &text, values)).all(db).await?;
    rows.into_iter().map(Version::try_from).collect()
}

pub(super) async fn insert(
    tx: &Transaction,
    lot_id: i64,
    valid_from: DateTime<Utc>,
    now: DateTime<Utc>,
    terms: &Terms,
) -> Result<i64> {
    let stored = serde_json::to_string(terms).map_err(anyhow::Error::from)?;
    let text = "INSERT INTO tariff_versions (lot_id, valid_from, created_at, terms)
        VALUES ($1, $2, $3, $4) RETURNING id";
    let values = [lot_id.into(), at(valid_from), at(now), stored.into()];
    let row = tx.query_one_raw(sql(tx, text, values)).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?.unwrap_or_default())
}

pub(super) async fn check_lot(db: &impl ConnectionTrait, lot_id: i64) -> Result<()> {
    let text = "SELECT 1 AS one FROM lots WHERE id = $1 AND archived_at IS NULL";
    let lot = db.query_one_raw(sql(db, text, [lot_id.into()])).await?;
    lot.map(drop).ok_or(Error::NotFound("parking lot"))
}
