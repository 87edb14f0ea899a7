//! Reservations for which nobody came: their spots go to others.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, Value};

use crate::{
    app::App,
    base::error::Result,
    parking::lots::FREE_SPOTS,
    platform::{
        cache::Group,
        db::{at, retry_on_conflict, row_lock, sql},
    },
};

/// Most reservations that one call ends.
const MOST: usize = 1_000;

/// `state::is_missed` as the database says it: the grace is over since `$1`, the window at `$2`.
const MISSED: &str = "state = 'reserved' AND (starts_at < $1 OR ends_at <= $2)";

/// Which reservations to look at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Among {
    All,
    Lot(i64),
    Spot(i64),
}

/// Ends reservations for which nobody came, at most 1,000; how many there were.
///
/// # Errors
/// Those of the database.
pub async fn expire_no_shows(app: &App) -> Result<usize> {
    expire(app, Among::All).await
}

/// Ends those of a lot, so that they are in nobody's way.
///
/// # Errors
/// Those of the database.
pub async fn expire_of_lot(app: &App, lot_id: i64) -> Result<usize> {
    expire(app, Among::Lot(lot_id)).await
}

/// Ends those of a lot; whether it has a free spot now.
pub(super) async fn makes_room(app: &App, lot_id: i64) -> Result<bool> {
    expire(app, Among::Lot(lot_id)).await?;
    let db = app.db.read();
    let free = format!("SELECT 1 AS one {FREE_SPOTS} LIMIT 1");
    Ok(db.query_one_raw(sql(db, &free, [lot_id.into()])).await?.is_some())
}

pub(super) async fn expire(app: &App, among: Among) -> Result<usize> {
    let (condition, id) = match among {
        Among::All => (MISSED.to_owned(), None),
        Among::Lot(id) => (format!("{MISSED} AND lot_id = $3"), Some(id)),
        Among::Spot(id) => (format!("{MISSED} AND spot_id = $3"), Some(id)),
    };
    let now = app.clock.now();
    let values: Vec<Value> =
        [at(now - app.config.no_show_after), at(now)].into_iter().chain(id.map(Value::from)).collect();
    // Looking first spares the others the lock for writing: mostly there is nothing to do.
    let db = app.db.read();
    let look = format!("SELECT 1 AS one FROM reservations WHERE {condition} LIMIT 1");
    if db.query_one_raw(sql(db, &look, values.clone())).await?.is_none() {
        return Ok(0);
    }
    let users = retry_on_conflict(|| end(app, &condition, values.clone())).await?;
    if users.is_empty() {
        return Ok(0);
    }
    let distinct: BTreeSet<i64> = users.iter().copied().collect();
    let groups: Vec<Group> =
        [Group::Occupancy].into_iter().chain(distinct.into_iter().map(Group::User)).collect();
    app.cache.invalidate(&groups).await;
    Ok(users.len())
}

/// Whose reservations were ended. Rows are locked by id, so that two who do this never wait in a circle.
async fn end(app: &App, condition: &str, values: Vec<Value>) -> Result<Vec<i64>> {
    let db = app.db.write();
    let lock = row_lock(db, "FOR UPDATE");
    let text = format!(
        "UPDATE reservations SET state = 'expired', cost_minor = 0
         WHERE state = 'reserved' AND id IN
            (SELECT id FROM reservations WHERE {condition} ORDER BY id LIMIT {MOST} {lock})
         RETURNING user_id"
    );
    let rows = db.query_all_raw(sql(db, &text, values)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "user_id")).collect::<Result<_, _>>()?)
}
