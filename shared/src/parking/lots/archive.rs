//! Closing a lot for good.

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::lot::lock;
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::audit::{self, Action, Actor, Object},
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, at, retry_on_conflict, sql},
    },
};

/// Closes a lot. Past reservations keep it, with its name.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] while one of its spots is occupied or reserved.
pub async fn archive(app: &App, by: &Actor, id: i64) -> Result<()> {
    retry_on_conflict(async || {
        let now = app.clock.now();
        let mut change = Change::begin(app).await?;
        let tx = change.tx();
        lock(tx, id).await?;
        // Checked twice: first without locking the spots, because bookings skip locked ones, and again once the spots
        // are retired, which waits for pending bookings and prevents new ones.
        ensure_unused(tx, id).await?;
        for text in [
            "UPDATE spots SET retiring = FALSE, retired_at = $2 WHERE lot_id = $1 AND retired_at IS NULL",
            "UPDATE lots SET archived_at = $2, updated_at = $2, version = version + 1 WHERE id = $1",
        ] {
            tx.execute_raw(sql(tx, text, [id.into(), at(now)])).await?;
        }
        ensure_unused(tx, id).await?;
        audit::record(tx, now, by, Action::LotDeleted, Object::Lot(id), &json!({})).await?;
        change.invalidates([Group::Catalog]);
        change.counts(Event::LotDeleted);
        change.commit().await
    })
    .await
}

async fn ensure_unused(tx: &Transaction, id: i64) -> Result<()> {
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
