//! A row of the table, as it is linked.

use chrono::{DateTime, Utc};
use hmac::Mac;
use sea_orm::FromQueryResult;

use super::chain::Link;
use crate::{base::error::Result, platform::keys::Key};

/// What is linked.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) actor_id: Option<i64>,
    pub(super) origin: String,
    pub(super) action: String,
    pub(super) object_kind: String,
    pub(super) object_id: Option<i64>,
    pub(super) details: String,
}

/// The columns of an [`Entry`].
pub(super) const COLUMNS: &str = "id, at, actor_id, origin, action, object_kind, object_id, details";

impl Entry {
    /// The link that follows `previous`. A JSON array is a form that no two different rows share.
    pub(super) fn link(&self, key: &Key, previous: &Link) -> Result<Link> {
        let seq = previous.seq + 1;
        let content = (
            seq,
            &previous.mac,
            self.id,
            // The precision of the database.
            self.at.timestamp_micros(),
            self.actor_id,
            &self.origin,
            &self.action,
            &self.object_kind,
            self.object_id,
            &self.details,
        );
        let content = serde_json::to_vec(&content).map_err(anyhow::Error::new)?;
        Ok(Link { seq, mac: hex::encode(key.sign(&content)?.finalize().into_bytes()) })
    }
}
