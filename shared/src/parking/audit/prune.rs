//! Removing old rows from the beginning of the chain, which from then on begins at the last row that was removed.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    chain::{ChainKeys, Link},
    store,
};
use crate::{app::App, base::error::Result, platform::db::sql};

/// Rows that one transaction removes; other writers wait meanwhile on SQLite.
const BATCH: usize = 500;

#[derive(FromQueryResult)]
struct Old {
    seq: i64,
    link: String,
    at: DateTime<Utc>,
}

/// Removes linked rows that are older than `before` and have no younger one in front of them, and returns how many.
///
/// # Errors
/// Those of the database.
pub async fn prune(app: &App, before: DateTime<Utc>) -> Result<u64> {
    let mut removed = 0;
    loop {
        let rows = prune_batch(app, before).await?;
        removed += rows as u64;
        if rows < BATCH {
            return Ok(removed);
        }
    }
}

async fn prune_batch(app: &App, before: DateTime<Utc>) -> Result<usize> {
    let keys = ChainKeys::new(&app.keys)?;
    let tx = app.db.begin().await?;
    let store::Stored { mut state, proof } = store::lock(&tx, &keys).await?;
    let text = format!("SELECT seq, link, at FROM audit WHERE seq > $1 ORDER BY seq LIMIT {BATCH}");
    let first = Old::find_by_statement(sql(&tx, &text, [state.start.seq.into()])).all(&tx).await?;
    let old: Vec<Old> = first.into_iter().take_while(|row| row.at < before).collect();
    let Some(last) = old.last() else { return Ok(0) };
    let key = state.open_span(&keys, proof)?;
    state.begin_at(Link { seq: last.seq, mac: last.link.clone() });
    store::save(&tx, &keys, key, &state).await?;
    let values = [state.start.seq.into()];
    tx.execute_raw(sql(&tx, "DELETE FROM audit WHERE seq <= $1", values)).await?;
    tx.commit().await?;
    Ok(old.len())
}
