//! What one driver may reserve. Administrators are exempt.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    base::{
        error::{Error, Result},
        plural::plural,
        time::rfc3339,
    },
    parking::rules::window::Window,
    platform::{
        config::{Config, FairUse, NO_SHOW_MEMORY},
        db::{Transaction, at, sql},
    },
};

/// Checks every limit for a new window of the driver, whose row is locked.
///
/// # Errors
/// [`Error::Conflict`] that names the limit and says when it ends.
pub(super) async fn check(
    tx: &Transaction,
    config: &Config,
    now: DateTime<Utc>,
    user_id: i64,
    window: Window,
) -> Result<()> {
    let limits = &config.parking.fair_use;
    check_lead(limits, now, window)?;
    check_no_shows(tx, limits, now, user_id).await?;
    let windows = open_windows(tx, now, user_id).await?;
    check_overlaps(config, &windows, window)?;
    check_open(limits, &windows)
}

fn check_lead(limits: &FairUse, now: DateTime<Utc>, window: Window) -> Result<()> {
    if window.from - now <= limits.ahead {
        return Ok(());
    }
    let (days, from) = (limits.ahead.num_days(), rfc3339(window.from - limits.ahead));
    let detail = format!("you can reserve at most {} ahead; this time opens at {from}", plural(days, "day"));
    Err(Error::conflict("too_far_ahead", detail))
}

async fn check_no_shows(tx: &Transaction, limits: &FairUse, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    // The newest that count; the last of them is the oldest.
    let text = "SELECT starts_at FROM reservations
        WHERE user_id = $1 AND state = 'expired' AND turned_away_at IS NULL AND starts_at > $2
        ORDER BY starts_at DESC LIMIT $3";
    let values = [user_id.into(), at(now - NO_SHOW_MEMORY), i64::from(limits.no_shows).into()];
    let rows = tx.query_all_raw(sql(tx, text, values)).await?;
    let Some(oldest) = rows.get(limits.no_shows as usize - 1) else { return Ok(()) };
    let oldest: DateTime<Utc> = oldest.try_get("", "starts_at")?;
    let (count, ends) = (plural(i64::from(limits.no_shows), "reservation"), rfc3339(oldest + NO_SHOW_MEMORY));
    let detail = format!(
        "you missed {count} within {} days, so you can reserve again from {ends}; you can still park without a \
         reservation",
        NO_SHOW_MEMORY.num_days()
    );
    Err(Error::conflict("too_many_no_shows", detail))
}

#[derive(Debug, FromQueryResult)]
struct OpenWindow {
    state: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

/// The driver's windows that have not ended, in order of their start.
async fn open_windows(tx: &Transaction, now: DateTime<Utc>, user_id: i64) -> Result<Vec<OpenWindow>> {
    let text = "SELECT state, starts_at, ends_at FROM reservations
        WHERE user_id = $1 AND state IN ('reserved', 'active') AND ends_at > $2 ORDER BY starts_at";
    Ok(OpenWindow::find_by_statement(sql(tx, text, [user_id.into(), at(now)])).all(tx).await?)
}

/// For this limit, each window begins `WALK_IN_PROTECTION_MINUTES` earlier: from then on it keeps its spot from others.
fn check_overlaps(config: &Config, windows: &[OpenWindow], new: Window) -> Result<()> {
    let protection = config.parking.protection;
    let protected = |from, to| Window { from: from - protection, to };
    let wanted = protected(new.from, new.to);
    let overlapping: Vec<_> = windows
        .iter()
        .filter(|window| protected(window.starts_at, window.ends_at).overlaps(&wanted))
        .collect();
    let limit = config.parking.fair_use.overlapping;
    let Some(first) = overlapping.first().filter(|_| overlapping.len() >= limit as usize) else {
        return Ok(());
    };
    let detail = format!(
        "you have a reservation from {} to {}; at most {limit} may overlap, and there must be {} between others",
        rfc3339(first.starts_at),
        rfc3339(first.ends_at),
        plural(protection.num_minutes(), "minute")
    );
    Err(Error::conflict("overlapping_reservations", detail))
}

fn check_open(limits: &FairUse, windows: &[OpenWindow]) -> Result<()> {
    let waiting: Vec<_> = windows.iter().filter(|window| window.state == "reserved").collect();
    let Some(first) = waiting.iter().map(|window| window.ends_at).min() else { return Ok(()) };
    if waiting.len() < limits.open as usize {
        return Ok(());
    }
    let detail = format!(
        "you have {} waiting, which is the limit; cancel one, or use the next one, which ends at {}",
        plural(i64::from(limits.open), "reservation"),
        rfc3339(first)
    );
    Err(Error::conflict("too_many_reservations", detail))
}
