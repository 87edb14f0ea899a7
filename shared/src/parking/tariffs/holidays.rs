//! The public holidays of a lot.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::versions::{Version, check_lot, insert, select};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object},
        lots,
        rules::pricing::Terms,
    },
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, sql},
    },
};

/// The most holidays of a lot: those of several decades.
pub const MAX_HOLIDAYS: usize = 500;

/// The public holidays of a lot.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn holidays(app: &App, lot_id: i64) -> Result<BTreeSet<NaiveDate>> {
    let db = app.db.read();
    check_lot(db, lot_id).await?;
    read(db, lot_id).await
}

pub(super) async fn read(db: &impl ConnectionTrait, lot_id: i64) -> Result<BTreeSet<NaiveDate>> {
    let text = "SELECT day FROM lot_holidays WHERE lot_id = $1 ORDER BY day";
    let rows = db.query_all_raw(sql(db, text, [lot_id.into()])).await?;
    let day =
        |text: String| text.parse().map_err(|error| anyhow::anyhow!("holiday {text:?}: {error}").into());
    rows.iter().map(|row| day(row.try_get("", "day")?)).collect()
}

/// Replaces the public holidays of a lot. The version in force and those that are still to come get a successor that knows
/// them; stays that are booked already keep theirs.
///
/// # Errors
/// [`Error::Invalid`] for too many; [`Error::NotFound`].
pub async fn set_holidays(
    app: &App,
    by: &Actor,
    lot_id: i64,
    days: BTreeSet<NaiveDate>,
) -> Result<BTreeSet<NaiveDate>> {
    if days.len() > MAX_HOLIDAYS {
        return Err(Error::invalid("/holidays", format!("must be at most {MAX_HOLIDAYS} days")));
    }
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let lot = lots::lock(change.tx(), lot_id).await?;
        let before = read(change.tx(), lot_id).await?;
        if before == days {
            return Ok(before);
        }
        let now = app.clock.now();
        store(change.tx(), lot_id, &days).await?;
        for version in current(change.tx(), lot_id, now).await? {
            if let Some(terms) = &version.terms {
                let terms = Terms { holidays: days.clone(), ..terms.clone() };
                insert(change.tx(), lot_id, version.valid_from.max(now), now, &terms).await?;
            }
        }
        lots::touch(change.tx(), &lot, now).await?;
        let details = json!({
            "added": days.difference(&before).collect::<Vec<_>>(),
            "removed": before.difference(&days).collect::<Vec<_>>(),
        });
        audit::record(change.tx(), now, by, Action::HolidaysChanged, Object::Lot(lot_id), &details).await?;
        change.invalidates([Group::Catalog]);
        change.commit().await?;
        Ok(days.clone())
    })
    .await
}

async fn store(tx: &Transaction, lot_id: i64, days: &BTreeSet<NaiveDate>) -> Result<()> {
    let text = "DELETE FROM lot_holidays WHERE lot_id = $1";
    tx.execute_raw(sql(tx, text, [lot_id.into()])).await?;
    for day in days {
        let text = "INSERT INTO lot_holidays (lot_id, day) VALUES ($1, $2)";
        tx.execute_raw(sql(tx, text, [lot_id.into(), day.to_string().into()])).await?;
    }
    Ok(())
}

/// The version in force and those to come, without those that a later one with the same beginning has replaced.
async fn current(tx: &Transaction, lot_id: i64, now: DateTime<Utc>) -> Result<Vec<Version>> {
    let condition = "valid_from <= $2 ORDER BY valid_from DESC, id DESC LIMIT 1";
    let mut found = select(tx, lot_id, condition, [at(now)]).await?;
    found.extend(select(tx, lot_id, "valid_from > $2 ORDER BY valid_from, id", [at(now)]).await?);
    let by_beginning: BTreeMap<_, _> =
        found.into_iter().map(|version| (version.valid_from, version)).collect();
    Ok(by_beginning.into_values().collect())
}
