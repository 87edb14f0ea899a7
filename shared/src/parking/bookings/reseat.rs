//! Moving windows away from spots on which another car is still parked, or which leave service.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    expiry::{self, Scope},
    stuck,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::{
        lots::{
            self, Moment,
            availability::{DISPLACED, IN_SERVICE, fits, window_values},
        },
        notifications,
        rules::window::Window,
    },
    platform::{
        cache::Group,
        db::{Transaction, at, retry_on_conflict, row_lock, sql},
    },
};

/// Moves waiting windows in every lot where one is displaced, or waits for a spot that leaves service. Tells the drivers
/// whose spot changes, and operators which windows cannot leave a spot that is being retired. Returns how many were moved.
pub async fn reseat_all(app: &App) -> Result<usize> {
    let (db, moment) = (app.db.read(), Moment::of(app));
    let text = format!(
        "SELECT w.lot_id FROM {DISPLACED}
         UNION SELECT w.lot_id FROM reservations w JOIN spots s ON s.id = w.spot_id
         WHERE s.retiring AND w.state = 'reserved' AND w.starts_at >= $2"
    );
    let (mut moved, mut stuck) = (0, Vec::new());
    for row in db.query_all_raw(sql(db, &text, moment.values())).await? {
        let lot_id = row.try_get("", "lot_id")?;
        expiry::expire(app, Scope::Lot(lot_id)).await?;
        match retry_on_conflict(|| reseat(app, lot_id)).await {
            // The lot was closed meanwhile.
            Err(Error::NotFound(_)) => {}
            done => {
                let (moved_here, stuck_here) = done?;
                moved += moved_here;
                stuck.extend(stuck_here);
            }
        }
    }
    stuck::announce(app, &stuck).await?;
    Ok(moved)
}

#[derive(Debug, Clone, FromQueryResult)]
struct Waiting {
    id: i64,
    user_id: i64,
    spot_id: i64,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

impl Waiting {
    const fn window(&self) -> Window {
        Window { from: self.starts_at, to: self.ends_at }
    }
}

/// Returns how many windows were moved, and which cannot leave a spot that is being retired.
async fn reseat(app: &App, lot_id: i64) -> Result<(usize, Vec<i64>)> {
    let mut change = Change::begin(app).await?;
    let tx = change.tx();
    lots::lock(tx, lot_id).await?;
    let moment = Moment::of(app);
    let before = spots_of_waiting(tx, lot_id).await?;
    let mut stuck = BTreeSet::new();
    // Each exchange displaces only windows that begin later, so this ends.
    while let Some(first) = next_displaced(tx, lot_id, moment, &stuck).await? {
        if let Some(spot) = unclaimed_spot(tx, lot_id, first.window(), first.id).await? {
            move_to(tx, &first, spot).await?;
            continue;
        }
        match emptiest_spot(tx, lot_id).await? {
            Some(other) if other.next_at.is_none_or(|next| next > first.starts_at) => {
                exchange(tx, moment.now, first.spot_id, other.id).await?;
            }
            _ => {
                stuck.insert(first.id);
            }
        }
    }
    let remaining = leave_retiring_spots(app, tx, lot_id, moment).await?;
    let after = spots_of_waiting(tx, lot_id).await?;
    let moved: Vec<_> = after
        .into_iter()
        .filter(|(id, (_, spot))| before.get(id).is_some_and(|(_, old)| old != spot))
        .collect();
    for (id, (user_id, spot_id)) in &moved {
        change.enqueue(&notifications::spot_changed(*id, *user_id, *spot_id)?).await?;
        change.invalidates([Group::Occupancy, Group::User(*user_id)]);
    }
    change.commit().await?;
    Ok((moved.len(), remaining))
}

/// The driver and spot of each waiting window of the lot.
async fn spots_of_waiting(tx: &Transaction, lot_id: i64) -> Result<BTreeMap<i64, (i64, i64)>> {
    let text = "SELECT id, user_id, spot_id, starts_at, ends_at FROM reservations WHERE lot_id = $1 AND state = 'reserved'";
    let waiting = Waiting::find_by_statement(sql(tx, text, [lot_id.into()])).all(tx).await?;
    Ok(waiting.into_iter().map(|window| (window.id, (window.user_id, window.spot_id))).collect())
}

/// The first displaced window of the lot that is not stuck.
async fn next_displaced(
    tx: &Transaction,
    lot_id: i64,
    moment: Moment,
    stuck: &BTreeSet<i64>,
) -> Result<Option<Waiting>> {
    let text = format!(
        "SELECT w.id, w.user_id, w.spot_id, w.starts_at, w.ends_at FROM {DISPLACED} AND w.lot_id = $3
         ORDER BY w.starts_at, w.id"
    );
    let values = moment.values().into_iter().chain([lot_id.into()]);
    let displaced = Waiting::find_by_statement(sql(tx, &text, values)).all(tx).await?;
    Ok(displaced.into_iter().find(|window| !stuck.contains(&window.id)))
}

const NO_CAR: &str =
    "NOT EXISTS (SELECT 1 FROM reservations a WHERE a.spot_id = s.id AND a.state = 'active')";

/// A spot without a car that no window but `except` needs meanwhile, with the shortest pause after it.
pub(super) async fn unclaimed_spot(
    tx: &Transaction,
    lot_id: i64,
    window: Window,
    except: i64,
) -> Result<Option<i64>> {
    let lock = row_lock(tx, "FOR UPDATE OF s");
    let text = format!(
        "SELECT s.id FROM spots s WHERE s.lot_id = $1 AND {IN_SERVICE} AND {NO_CAR}
            AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state = 'reserved'
                AND r.id <> $4 AND r.starts_at < $3 AND r.ends_at > $2)
         ORDER BY COALESCE((SELECT MIN(r.starts_at) FROM reservations r WHERE r.spot_id = s.id
            AND r.state = 'reserved' AND r.starts_at >= $3), '9999-01-01'), s.number
         LIMIT 1 {lock}"
    );
    let values = [lot_id.into(), at(window.from), at(window.to), except.into()];
    let row = tx.query_one_raw(sql(tx, &text, values)).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// A spot without a car, and when its next window begins.
#[derive(Debug, FromQueryResult)]
pub(super) struct EmptySpot {
    pub(super) id: i64,
    pub(super) next_at: Option<DateTime<Utc>>,
}

/// The spot without a car whose next window begins latest.
pub(super) async fn emptiest_spot(tx: &Transaction, lot_id: i64) -> Result<Option<EmptySpot>> {
    let lock = row_lock(tx, "FOR UPDATE OF s");
    let text = format!(
        "SELECT s.id, (SELECT MIN(r.starts_at) FROM reservations r WHERE r.spot_id = s.id AND r.state = 'reserved') AS next_at
         FROM spots s WHERE s.lot_id = $1 AND s.retired_at IS NULL AND {NO_CAR}
         ORDER BY COALESCE((SELECT MIN(r.starts_at) FROM reservations r WHERE r.spot_id = s.id AND r.state = 'reserved'),
            '9999-01-01') DESC, s.number
         LIMIT 1 {lock}"
    );
    Ok(EmptySpot::find_by_statement(sql(tx, &text, [lot_id.into()])).one(tx).await?)
}

pub(super) async fn is_occupied(db: &impl ConnectionTrait, spot_id: i64) -> Result<bool> {
    let text = "SELECT 1 AS one FROM reservations WHERE spot_id = $1 AND state = 'active'";
    Ok(db.query_one_raw(sql(db, text, [spot_id.into()])).await?.is_some())
}

/// Whether another waiting window needs the spot during the stay.
pub(super) async fn is_claimed(
    tx: &Transaction,
    spot_id: i64,
    stay: Window,
    reservation_id: i64,
) -> Result<bool> {
    let text = "SELECT 1 AS one FROM reservations
        WHERE spot_id = $1 AND state = 'reserved' AND id <> $2 AND starts_at < $4 AND ends_at > $3";
    let values = [spot_id.into(), reservation_id.into(), at(stay.from), at(stay.to)];
    Ok(tx.query_one_raw(sql(tx, text, values)).await?.is_some())
}

async fn move_to(tx: &Transaction, window: &Waiting, spot_id: i64) -> Result<()> {
    let text = "UPDATE reservations SET spot_id = $2 WHERE id = $1 AND state = 'reserved'";
    tx.execute_raw(sql(tx, text, [window.id.into(), spot_id.into()])).await?;
    Ok(())
}

/// The windows that wait for an occupied spot and for one without a car change places.
///
/// The car on the occupied spot may have had a window that ends after one of the others has begun, whose driver is late.
/// That window then begins when the other has ended, because two windows on a spot must not overlap.
pub(super) async fn exchange(tx: &Transaction, now: DateTime<Utc>, occupied: i64, empty: i64) -> Result<()> {
    let lock = row_lock(tx, "FOR UPDATE");
    let text = format!(
        "SELECT id FROM reservations WHERE spot_id IN ($1, $2) AND state = 'reserved' AND ends_at > $3 ORDER BY id {lock}"
    );
    let rows = tx.query_all_raw(sql(tx, &text, [occupied.into(), empty.into(), at(now)])).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(());
    }
    let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    // Taken out first: on its way to the other spot, a window would meet those that are still there.
    let text = format!("UPDATE reservations SET state = 'cancelled' WHERE id IN ({ids})");
    tx.execute_raw(sql(tx, &text, [])).await?;
    let text = format!(
        "UPDATE reservations SET state = 'reserved',
            starts_at = CASE WHEN spot_id = $2 AND starts_at < car.ends_at THEN car.ends_at ELSE starts_at END,
            spot_id = CASE WHEN spot_id = $1 THEN $2 ELSE $1 END
         FROM (SELECT MAX(r.ends_at) AS ends_at FROM reservations r WHERE r.spot_id = $1 AND r.state = 'active') AS car
         WHERE id IN ({ids})"
    );
    tx.execute_raw(sql(tx, &text, [occupied.into(), empty.into()])).await?;
    Ok(())
}

/// Moves windows that are not due yet to spots that stay in service, where they fit. The others, which are returned, keep
/// their spot, which leaves service after them.
async fn leave_retiring_spots(app: &App, tx: &Transaction, lot_id: i64, moment: Moment) -> Result<Vec<i64>> {
    let mut remaining = Vec::new();
    let text = "SELECT w.id, w.user_id, w.spot_id, w.starts_at, w.ends_at
        FROM reservations w JOIN spots s ON s.id = w.spot_id
        WHERE w.lot_id = $1 AND w.state = 'reserved' AND s.retiring AND w.starts_at >= $2 ORDER BY w.starts_at, w.id";
    let waiting = Waiting::find_by_statement(sql(tx, text, [lot_id.into(), at(moment.due)])).all(tx).await?;
    for window in waiting {
        let lock = row_lock(tx, "FOR UPDATE OF s SKIP LOCKED");
        let text = format!(
            "SELECT s.id FROM spots s WHERE s.lot_id = $7 AND {} ORDER BY s.number LIMIT 1 {lock}",
            fits()
        );
        let mut values = window_values(&app.config.parking, moment, window.window());
        values.push(lot_id.into());
        match tx.query_one_raw(sql(tx, &text, values)).await? {
            Some(row) => move_to(tx, &window, row.try_get("", "id")?).await?,
            None => remaining.push(window.id),
        }
    }
    Ok(remaining)
}
