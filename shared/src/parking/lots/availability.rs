//! Which spots are free, now and in a window.
//!
//! Every statement here takes the time as `$1` and the end of the protected time as `$2`: a window that begins before it
//! is due, and keeps its spot from drivers without a reservation.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use crate::{
    app::App,
    base::error::Result,
    parking::rules::window::{SHORTEST_REST, Window},
    platform::{
        config::Parking,
        db::{at, sql},
    },
};

/// The time for which availability is asked: now.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub now: DateTime<Utc>,
    /// Windows that begin before this are due.
    pub due: DateTime<Utc>,
}

impl Moment {
    /// The moment `now` under these rules.
    #[must_use]
    pub fn new(rules: &Parking, now: DateTime<Utc>) -> Self {
        Self { now, due: rules.protected_until(now) }
    }

    /// The moment now.
    #[must_use]
    pub fn of(app: &App) -> Self {
        Self::new(&app.config.parking, app.clock.now())
    }

    /// The first two values of every statement.
    pub(crate) fn values(self) -> [Value; 2] {
        [at(self.now), at(self.due)]
    }
}

/// A spot `s` that takes new drivers.
pub(crate) const IN_SERVICE: &str = "s.retired_at IS NULL AND NOT s.retiring";

/// A reservation `r` that keeps others from its spot now: a running session, or a window that is due.
pub(crate) const HOLDS: &str = "r.state IN ('reserved', 'active')
    AND (r.state = 'active' OR (r.starts_at < $2 AND r.ends_at > $1))";

/// A window `w` that is due, while another car is on its spot.
pub(crate) const DISPLACED: &str =
    "reservations w JOIN reservations a ON a.spot_id = w.spot_id AND a.state = 'active'
    WHERE w.state = 'reserved' AND w.starts_at < $2 AND w.ends_at > $1";

/// The spots of lot `$3` that are free now.
pub(crate) fn free_spots() -> String {
    format!(
        "FROM spots s JOIN lots l ON l.id = s.lot_id
         WHERE s.lot_id = $3 AND l.archived_at IS NULL AND {IN_SERVICE}
           AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND {HOLDS})"
    )
}

/// The number of spots of lot `l` that are free now, less the displaced windows. Negative if these are more.
pub(crate) fn free_now() -> String {
    format!(
        "((SELECT COUNT(*) FROM spots s WHERE s.lot_id = l.id AND {IN_SERVICE})
          - (SELECT COUNT(DISTINCT r.spot_id) FROM reservations r JOIN spots s ON s.id = r.spot_id
             WHERE r.lot_id = l.id AND {HOLDS} AND {IN_SERVICE})
          - (SELECT COUNT(*) FROM {DISPLACED} AND w.lot_id = l.id))"
    )
}

/// The number of spots of a lot that are free now, less its displaced windows. 0 for an unknown lot.
pub(crate) async fn count_free_now(db: &impl ConnectionTrait, lot_id: i64, moment: Moment) -> Result<i64> {
    let text = format!("SELECT {} AS free FROM lots l WHERE l.id = $3", free_now());
    let values = moment.values().into_iter().chain([lot_id.into()]);
    let row = db.query_one_raw(sql(db, &text, values)).await?;
    Ok(row.map(|row| row.try_get("", "free")).transpose()?.unwrap_or(0))
}

/// A spot `s` that could be reserved from `$3` to `$4`. A running session counts until it is expected to end: a walk-in
/// that arrived after `$5` and, if `$6`, every session lasts into the window.
pub(crate) fn fits() -> String {
    format!(
        "{IN_SERVICE} AND NOT EXISTS (
            SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active') AND (
                (r.ends_at > $3 AND r.starts_at < $4)
                OR (r.state = 'active' AND ($6 OR r.ends_at > $3 OR (r.ends_at IS NULL AND r.arrived_at > $5)))))"
    )
}

/// The values `$1` to `$6`.
pub(crate) fn window_values(rules: &Parking, moment: Moment, window: Window) -> Vec<Value> {
    let [now, due] = moment.values();
    let sessions_last = window.from < moment.now + SHORTEST_REST;
    let arrived_before = window.from - rules.typical_stay;
    vec![now, due, at(window.from), at(window.to), at(arrived_before), sessions_last.into()]
}

/// A spot `s` without a car that a window keeps from others already, so that another window takes nothing from them.
pub(crate) fn is_kept() -> String {
    format!(
        "EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state = 'reserved' AND {HOLDS})
         AND NOT EXISTS (SELECT 1 FROM reservations a WHERE a.spot_id = s.id AND a.state = 'active')"
    )
}

/// The number of spots of lot `l` on which the window could be reserved.
///
/// A window that is due at once must leave a spot for every displaced window: it may always join other windows on a spot
/// without a car, and take a free spot, or one whose car is expected to leave, while more are free than displaced.
pub(crate) fn free_in_window() -> String {
    let (fits, free_now, is_kept) = (fits(), free_now(), is_kept());
    format!(
        "CASE WHEN $3 >= $2 OR {free_now} > 0 THEN (SELECT COUNT(*) FROM spots s WHERE s.lot_id = l.id AND {fits})
              WHEN {free_now} < 0 THEN 0
              ELSE (SELECT COUNT(*) FROM spots s WHERE s.lot_id = l.id AND {fits} AND {is_kept}) END"
    )
}

#[derive(FromQueryResult)]
struct Boundary {
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    valid_from: Option<DateTime<Utc>>,
}

/// When the next window becomes due or ends, or a tariff comes into force: until then, availability and prices change only by writes.
pub async fn next_boundary(app: &App, moment: Moment) -> Result<Option<DateTime<Utc>>> {
    let db = app.db.read();
    let text = "SELECT
        (SELECT MIN(starts_at) FROM reservations WHERE state = 'reserved' AND starts_at >= $2) AS starts_at,
        (SELECT MIN(ends_at) FROM reservations WHERE state = 'reserved' AND starts_at < $2 AND ends_at > $1) AS ends_at,
        (SELECT MIN(valid_from) FROM tariff_versions WHERE valid_from > $1) AS valid_from";
    let next = Boundary::find_by_statement(sql(db, text, moment.values())).one(db).await?;
    Ok(next.and_then(|next| {
        let due = next.starts_at.map(|start| start - app.config.parking.protection);
        [due, next.ends_at, next.valid_from].into_iter().flatten().min()
    }))
}
