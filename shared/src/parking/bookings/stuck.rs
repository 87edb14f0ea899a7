//! Tells operators which windows cannot leave a spot that is being retired, so that it stays in use until they end.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    app::App,
    base::{error::Result, plural::plural, time::rfc3339},
    parking::notifications::alert::{self, Alert},
    platform::db::{at, sql},
};

/// The most windows that one alert names; the next one names the others.
const MAX_NAMED: usize = 20;

#[derive(FromQueryResult)]
struct Stuck {
    id: i64,
    lot_name: String,
    number: i64,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

/// Announces those of these windows that were not announced before. While an alert of this kind is less than an hour old,
/// they wait for the next one.
pub(super) async fn announce(app: &App, ids: &[i64]) -> Result<()> {
    if ids.is_empty() || alert::due(app, Alert::StuckWindow).await?.is_none() {
        return Ok(());
    }
    let (db, ids) = (app.db.read(), list(ids.iter().copied()));
    let text = format!(
        "SELECT w.id, l.location_name AS lot_name, s.number, w.starts_at, w.ends_at
         FROM reservations w JOIN spots s ON s.id = w.spot_id JOIN lots l ON l.id = w.lot_id
         WHERE w.id IN ({ids}) AND w.state = 'reserved' AND s.retiring AND w.stuck_announced_at IS NULL
         ORDER BY w.starts_at, w.id LIMIT {MAX_NAMED}"
    );
    let stuck = Stuck::find_by_statement(sql(db, &text, [])).all(db).await?;
    if stuck.is_empty() {
        return Ok(());
    }
    let fact = |window: &Stuck| {
        let (from, to) = (rfc3339(window.starts_at), rfc3339(window.ends_at));
        let spot = format!("{}, spot {}", window.lot_name, window.number);
        (spot, format!("reservation {} from {from} to {to}", window.id))
    };
    let count = i64::try_from(stuck.len()).unwrap_or(i64::MAX);
    let title = format!("{} cannot leave a spot that is being retired", plural(count, "reservation"));
    let alerted = alert::raise(app, Alert::StuckWindow, &title, stuck.iter().map(fact).collect()).await?;
    if !alerted.is_empty() {
        let (db, ids) = (app.db.write(), list(stuck.iter().map(|window| window.id)));
        let text = format!("UPDATE reservations SET stuck_announced_at = $1 WHERE id IN ({ids})");
        db.execute_raw(sql(db, &text, [at(app.clock.now())])).await?;
    }
    Ok(())
}

fn list(ids: impl Iterator<Item = i64>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}
