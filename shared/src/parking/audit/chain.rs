//! What is known about the chain as a whole: where it begins and ends, and which key linked what. It is signed.

use hmac::Mac;
use serde::{Deserialize, Serialize};

use crate::{
    base::error::Result,
    platform::keys::{Key, Keys, Purpose},
};

const LINKS: Purpose = b"parkade: links of the audit chain, 1";

const STATES: Purpose = b"parkade: states of the audit chain, 1";

/// The end of a part of the chain: a place, and the HMAC of the row there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// 0 before the first row.
    pub(super) seq: i64,
    pub(super) mac: String,
}

/// The rows that one key linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// Names the key.
    pub(super) key: String,
    pub(super) end: Link,
    /// Whether the next key took over without being able to verify this span.
    pub(super) is_unproven: bool,
}

/// The state of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// What was pruned ends here.
    pub(super) start: Link,
    /// In order; the last one grows.
    pub(super) spans: Vec<Span>,
}

/// What a signature says about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Genuine,
    Forged,
    /// The key is not in the settings.
    UnknownKey,
}

/// The keys of the settings.
pub(super) struct ChainKeys(Vec<ChainKey>);

pub(super) struct ChainKey {
    pub(super) id: String,
    pub(super) links: Key,
    states: Key,
}

impl ChainKeys {
    pub(super) fn new(keys: &Keys) -> Result<Self> {
        let pairs = keys.all_of_access(LINKS)?.into_iter().zip(keys.all_of_access(STATES)?);
        let key = |(links, states): (Key, Key)| {
            let id = states.sign(b"id")?.finalize().into_bytes();
            Ok(ChainKey { id: hex::encode(&id[..8]), links, states })
        };
        Ok(Self(pairs.map(key).collect::<Result<_>>()?))
    }

    pub(super) fn find(&self, id: &str) -> Option<&ChainKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The key that signs.
    pub(super) fn first(&self) -> Result<&ChainKey> {
        self.0.first().ok_or_else(|| {
            anyhow::anyhow!("neither APP_SECRET nor JWT_SECRET_KEY is set; the audit chain needs one").into()
        })
    }

    /// A signature that names its key.
    pub(super) fn sign(&self, key: &ChainKey, text: &str) -> Result<String> {
        Ok(format!("{}.{}", key.id, hex::encode(key.states.sign(text.as_bytes())?.finalize().into_bytes())))
    }

    pub(super) fn prove(&self, text: &str, signature: &str) -> Result<Proof> {
        let Some((id, mac)) = signature.split_once('.') else { return Ok(Proof::Forged) };
        let Some(key) = self.find(id) else { return Ok(Proof::UnknownKey) };
        let expected = key.states.sign(text.as_bytes())?;
        let is_genuine = hex::decode(mac).is_ok_and(|mac| expected.verify_slice(&mac).is_ok());
        Ok(if is_genuine { Proof::Genuine } else { Proof::Forged })
    }
}

impl State {
    /// The last link.
    pub(super) fn head(&self) -> &Link {
        self.spans.last().map_or(&self.start, |span| &span.end)
    }

    /// The span of the row at `seq`.
    pub(super) fn span_of(&self, seq: i64) -> Option<&Span> {
        self.spans.iter().find(|span| span.end.seq >= seq)
    }

    /// The key that links what comes next. A key that has ended a span never continues: while settings change, processes with
    /// the old order of keys go on with the new one.
    pub(super) fn open_span<'a>(&mut self, keys: &'a ChainKeys, proof: Proof) -> Result<&'a ChainKey> {
        let first = keys.first()?;
        let has_ended = self.spans.iter().any(|span| span.key == first.id);
        if let Some(last) = self.spans.last_mut() {
            match keys.find(&last.key).filter(|_| proof == Proof::Genuine) {
                // This is the first key, or it has replaced the first key.
                Some(key) if has_ended => return Ok(key),
                Some(_) => {}
                None => last.is_unproven = true,
            }
        }
        self.begin_span(first);
        Ok(first)
    }

    fn begin_span(&mut self, key: &ChainKey) {
        let end = self.head().clone();
        self.spans.push(Span { key: key.id.clone(), end, is_unproven: false });
    }

    /// Moves the end of the open span.
    pub(super) fn advance(&mut self, head: Link) {
        if let Some(span) = self.spans.last_mut() {
            span.end = head;
        }
    }

    /// Forgets what comes before `start`.
    pub(super) fn begin_at(&mut self, start: Link) {
        let last = self.spans.len().saturating_sub(1);
        let mut index = 0;
        self.spans.retain(|span| {
            let is_kept = span.end.seq > start.seq || index == last;
            index += 1;
            is_kept
        });
        self.start = start;
    }
}
