//! Giving rows their place in the chain. Rows are written without one, so that writers never wait for each other.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    chain::ChainKeys,
    entry::{COLUMNS, Entry},
    store,
};
use crate::{app::App, base::error::Result, platform::db::sql};

/// Rows that one transaction links; other writers wait meanwhile on SQLite.
const BATCH: usize = 200;

/// Links all rows that are not linked yet, and returns how many there were. Several processes may do so at once: they take
/// turns at the row of the state.
///
/// # Errors
/// Those of the database; [`crate::Error::Internal`] without any secret in the settings.
pub async fn link_pending(app: &App) -> Result<u64> {
    let mut linked = 0;
    while is_pending(app).await? {
        linked += link_batch(app).await?;
    }
    Ok(linked)
}

async fn is_pending(app: &App) -> Result<bool> {
    let db = app.db.read();
    let text = "SELECT id FROM audit WHERE seq IS NULL LIMIT 1";
    Ok(db.query_one_raw(sql(db, text, [])).await?.is_some())
}

async fn link_batch(app: &App) -> Result<u64> {
    let keys = ChainKeys::new(&app.keys)?;
    let tx = app.db.begin().await?;
    let store::Stored { mut state, proof } = store::lock(&tx, &keys).await?;
    let text = format!("SELECT {COLUMNS} FROM audit WHERE seq IS NULL ORDER BY id LIMIT {BATCH}");
    let entries = Entry::find_by_statement(sql(&tx, &text, [])).all(&tx).await?;
    let key = state.open_span(&keys, proof)?;
    for entry in &entries {
        let link = entry.link(&key.links, state.head())?;
        let values = [entry.id.into(), link.seq.into(), link.mac.clone().into()];
        tx.execute_raw(sql(&tx, "UPDATE audit SET seq = $2, link = $3 WHERE id = $1", values)).await?;
        state.advance(link);
    }
    store::save(&tx, &keys, key, &state).await?;
    tx.commit().await?;
    Ok(entries.len() as u64)
}
