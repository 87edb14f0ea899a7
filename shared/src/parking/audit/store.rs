//! The row that holds the state of the chain. Whoever links or prunes locks it.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::chain::{ChainKey, ChainKeys, Proof, State};
use crate::{
    base::error::Result,
    platform::db::{Transaction, row_lock, sql},
};

/// The state, and whether its signature is genuine.
pub(super) struct Stored {
    pub(super) state: State,
    pub(super) proof: Proof,
}

#[derive(FromQueryResult)]
struct Text {
    state: String,
    signature: String,
}

const SELECT: &str = "SELECT state, signature FROM audit_chain WHERE id = 1";

/// The state; `None` before anything was linked.
pub(super) async fn load(db: &impl ConnectionTrait, keys: &ChainKeys) -> Result<Option<Stored>> {
    find(db, keys, SELECT).await
}

/// Waits for other linkers, and returns the state.
pub(super) async fn lock(tx: &Transaction, keys: &ChainKeys) -> Result<Stored> {
    let text = "INSERT INTO audit_chain (id, start_seq, state, signature) VALUES (1, 0, $1, $2) ON CONFLICT DO NOTHING";
    let empty = encode(&State::default())?;
    let signature = keys.sign(keys.first()?, &empty)?;
    tx.execute_raw(sql(tx, text, [empty.into(), signature.into()])).await?;
    let found = find(tx, keys, &format!("{SELECT} {}", row_lock(tx, "FOR UPDATE"))).await?;
    found.ok_or_else(|| anyhow::anyhow!("the state of the audit chain has just been removed").into())
}

async fn find(db: &impl ConnectionTrait, keys: &ChainKeys, text: &str) -> Result<Option<Stored>> {
    let Some(found) = Text::find_by_statement(sql(db, text, [])).one(db).await? else { return Ok(None) };
    let proof = keys.prove(&found.state, &found.signature)?;
    let state = serde_json::from_str(&found.state)
        .map_err(|error| anyhow::Error::new(error).context("the state of the audit chain is not readable"))?;
    Ok(Some(Stored { state, proof }))
}

/// Stores a locked state, signed with `key`.
pub(super) async fn save(tx: &Transaction, keys: &ChainKeys, key: &ChainKey, state: &State) -> Result<()> {
    let encoded = encode(state)?;
    let signature = keys.sign(key, &encoded)?;
    let text = "UPDATE audit_chain SET start_seq = $1, state = $2, signature = $3 WHERE id = 1";
    tx.execute_raw(sql(tx, text, [state.start.seq.into(), encoded.into(), signature.into()])).await?;
    Ok(())
}

fn encode(state: &State) -> Result<String> {
    Ok(serde_json::to_string(state).map_err(anyhow::Error::new)?)
}
