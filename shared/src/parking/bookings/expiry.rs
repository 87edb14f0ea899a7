//! Expiry of reservations that nobody came for: their spots become free.

use sea_orm::{ConnectionTrait, Value};

use crate::{
    app::App,
    base::error::Result,
    jobs::Change,
    platform::{
        cache::Group,
        db::{at, retry_on_conflict, row_lock, sql},
    },
};

/// The most reservations that one call ends.
const BATCH: usize = 1_000;

/// `state::is_missed` in SQL, with `$1` the time of arrival whose grace period ends now, and `$2` now.
const MISSED: &str = "state = 'reserved' AND (starts_at < $1 OR ends_at <= $2)";

/// Which reservations to check.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope {
    All,
    Lot(i64),
    Spot(i64),
}

/// Ends up to 1,000 missed reservations. Returns how many there were.
pub async fn expire_no_shows(app: &App) -> Result<usize> {
    expire(app, Scope::All).await
}

/// Ends missed reservations. Returns how many there were.
pub(super) async fn expire(app: &App, scope: Scope) -> Result<usize> {
    let (condition, id) = match scope {
        Scope::All => (MISSED.to_owned(), None),
        Scope::Lot(id) => (format!("{MISSED} AND lot_id = $3"), Some(id)),
        Scope::Spot(id) => (format!("{MISSED} AND spot_id = $3"), Some(id)),
    };
    let now = app.clock.now();
    let values: Vec<Value> = [at(now - app.config.parking.no_show_after), at(now)]
        .into_iter()
        .chain(id.map(Value::from))
        .collect();
    // Mostly there is nothing to do; reading first avoids the write lock then.
    let db = app.db.read();
    let any = format!("SELECT 1 AS one FROM reservations WHERE {condition} LIMIT 1");
    if db.query_one_raw(sql(db, &any, values.clone())).await?.is_none() {
        return Ok(0);
    }
    retry_on_conflict(|| end(app, &condition, values.clone())).await
}

/// Rows are locked by id, so that two processes that do this do not deadlock.
async fn end(app: &App, condition: &str, values: Vec<Value>) -> Result<usize> {
    let mut change = Change::begin(app).await?;
    let lock = row_lock(change.tx(), "FOR UPDATE");
    let text = format!(
        "UPDATE reservations SET state = 'expired', cost_minor = 0
         WHERE state = 'reserved' AND id IN
            (SELECT id FROM reservations WHERE {condition} ORDER BY id LIMIT {BATCH} {lock})
         RETURNING user_id"
    );
    let rows = change.tx().query_all_raw(sql(change.tx(), &text, values)).await?;
    for row in &rows {
        change.invalidates([Group::Occupancy, Group::User(row.try_get("", "user_id")?)]);
    }
    change.commit().await?;
    Ok(rows.len())
}
