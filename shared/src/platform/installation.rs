//! What an installation settles at its first start: the currency of its amounts.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::db::{Db, Engine, Transaction, sql};
use crate::base::{
    currency::Currency,
    error::{Error, Result},
};

/// Every column with an amount, in minor units.
pub const AMOUNTS: [(&str, &str); 4] = [
    ("lots", "price_minor"),
    ("reservations", "hourly_rate_minor"),
    ("reservations", "cost_minor"),
    ("tariff_versions", "hourly_rate_minor"),
];

/// Earlier releases stored every amount with two decimal places, whatever the currency.
const EARLIER_DECIMALS: u32 = 2;

/// An amount of an earlier release that the currency cannot express. It was rounded half up.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Rounded {
    table_name: String,
    column_name: String,
    row_id: i64,
    hundredths: i64,
}

impl std::fmt::Display for Rounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { table_name, column_name, row_id, hundredths } = self;
        let column = column_name.trim_end_matches("_minor");
        write!(f, "{column} of {table_name} {row_id} was {}", Currency::INR.digits(*hundredths))
    }
}

/// The currency of the amounts in this database, if it is settled.
///
/// # Errors
/// Those of the database, for example without the table.
pub async fn stored_currency(db: &impl ConnectionTrait) -> Result<Option<String>> {
    let row = db.query_one_raw(sql(db, "SELECT currency FROM installation", [])).await?;
    Ok(row.map(|row| row.try_get("", "currency")).transpose()?)
}

/// Why a process with this currency must not use the database.
#[must_use]
pub fn conflict(stored: &str, configured: Currency) -> Option<String> {
    (stored != configured.code()).then(|| {
        format!("CURRENCY is {configured}, but the amounts in this database are in {stored}; set CURRENCY={stored}")
    })
}

/// The first `limit` amounts that were rounded, and how many there are.
///
/// # Errors
/// Those of the database.
pub async fn rounded(db: &impl ConnectionTrait, limit: u8) -> Result<(Vec<Rounded>, i64)> {
    let text =
        format!("SELECT * FROM rounded_amounts ORDER BY table_name, row_id, column_name LIMIT {limit}");
    let first = Rounded::find_by_statement(sql(db, &text, [])).all(db).await?;
    let count = db.query_one_raw(sql(db, "SELECT COUNT(*) AS n FROM rounded_amounts", [])).await?;
    Ok((first, count.map(|row| row.try_get("", "n")).transpose()?.unwrap_or_default()))
}

/// Compares the currency with the one of the database. A database without one gets it, and its amounts are converted to
/// the minor units of the currency. Of several processes that start at once, one does it and the others wait.
///
/// # Errors
/// [`Error::Permanent`] if the amounts are in another currency.
pub async fn settle_currency(db: &Db, currency: Currency) -> Result<()> {
    if let Some(stored) = stored_currency(db.read()).await? {
        return accept(&stored, currency);
    }
    let tx = db.begin_after_others().await?;
    if db.engine() == Engine::Postgres {
        tx.execute_unprepared("SET LOCAL lock_timeout = 0; LOCK TABLE installation IN EXCLUSIVE MODE")
            .await?;
    }
    if let Some(stored) = stored_currency(&tx).await? {
        tx.rollback().await?;
        return accept(&stored, currency);
    }
    convert(&tx, currency).await?;
    let text = "INSERT INTO installation (id, currency) VALUES (1, $1)";
    tx.execute_raw(sql(&tx, text, [currency.code().into()])).await?;
    let (first, count) = rounded(&tx, 10).await?;
    tx.commit().await?;
    if count > 0 {
        let first: Vec<_> = first.iter().map(ToString::to_string).collect();
        tracing::warn!(
            count,
            first = first.join("; "),
            "amounts that {currency} cannot express were rounded"
        );
    }
    Ok(())
}

fn accept(stored: &str, configured: Currency) -> Result<()> {
    conflict(stored, configured).map_or(Ok(()), |why| Err(Error::Permanent(why)))
}

/// Converts hundredths to minor units. What does not fit is rounded half up, and the exact amount is kept beside it.
async fn convert(tx: &Transaction, currency: Currency) -> Result<()> {
    let decimals = currency.decimals();
    for (table, column) in AMOUNTS {
        if decimals >= EARLIER_DECIMALS {
            let factor = 10_i64.pow(decimals - EARLIER_DECIMALS);
            let text = format!(
                "UPDATE {table} SET {column} = {column} * {factor} WHERE {column} <> 0 AND {factor} > 1"
            );
            tx.execute_unprepared(&text).await?;
            continue;
        }
        let divisor = 10_i64.pow(EARLIER_DECIMALS - decimals);
        let keep = format!(
            "INSERT INTO rounded_amounts (table_name, column_name, row_id, hundredths)
             SELECT '{table}', '{column}', id, {column} FROM {table} WHERE {column} % {divisor} <> 0"
        );
        let round = format!(
            "UPDATE {table} SET {column} = ({column} + {}) / {divisor} WHERE {column} <> 0",
            divisor / 2
        );
        tx.execute_unprepared(&keep).await?;
        tx.execute_unprepared(&round).await?;
    }
    // Nothing is due for a bill that was rounded to nothing.
    let settle = "UPDATE reservations SET payment_state = 'paid', paid_at = left_at
         WHERE payment_state = 'unpaid' AND cost_minor = 0";
    tx.execute_unprepared(settle).await?;
    Ok(())
}
