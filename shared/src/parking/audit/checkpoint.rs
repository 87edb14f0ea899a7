//! Checkpoints: where the chain ended at some time, signed, to be kept outside the database. They reveal that the end of the
//! chain was removed together with its state.

use super::{
    chain::{ChainKeys, Link, Proof},
    store,
};
use crate::{app::App, base::error::Result};

/// Begins each checkpoint, so that it is found in any log.
const PREFIX: &str = "audit-checkpoint:";

/// Where the chain ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub(super) link: Link,
    signature: String,
}

/// Where the chain ends now; `None` before anything was linked, or if its state is not proven.
///
/// # Errors
/// Those of the database.
pub async fn checkpoint(app: &App) -> Result<Option<Checkpoint>> {
    let keys = ChainKeys::new(&app.keys)?;
    let found = store::load(app.db.read(), &keys).await?;
    let genuine = found.filter(|stored| stored.proof == Proof::Genuine && stored.state.head().seq > 0);
    genuine.map(|stored| Checkpoint::new(&keys, stored.state.head())).transpose()
}

impl Checkpoint {
    pub(super) fn new(keys: &ChainKeys, link: &Link) -> Result<Self> {
        Ok(Self { link: link.clone(), signature: keys.sign(keys.first()?, &text(link))? })
    }

    /// The checkpoints in the lines of a log.
    #[must_use]
    pub fn find_all(log: &str) -> Vec<Self> {
        log.match_indices(PREFIX).filter_map(|(at, _)| Self::parse(&log[at + PREFIX.len()..])).collect()
    }

    fn parse(rest: &str) -> Option<Self> {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ":.".contains(c)));
        let mut parts = rest[..end.unwrap_or(rest.len())].split(':');
        let link = Link { seq: parts.next()?.parse().ok()?, mac: parts.next()?.to_owned() };
        Some(Self { link, signature: parts.next()?.to_owned() })
    }

    /// Whether this installation made it.
    pub(super) fn prove(&self, keys: &ChainKeys) -> Result<Proof> {
        keys.prove(&text(&self.link), &self.signature)
    }
}

impl std::fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}:{}:{}", self.link.seq, self.link.mac, self.signature)
    }
}

/// What is signed: neither a state nor a row looks like it.
fn text(link: &Link) -> String {
    format!("{PREFIX}{}:{}", link.seq, link.mac)
}
