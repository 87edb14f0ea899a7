//! Following the chain from row to row. Pure: the rows come from the caller.

use std::collections::BTreeMap;

use super::{
    chain::{ChainKeys, Link, State},
    entry::Entry,
};
use crate::base::error::Result;

/// A linked row.
#[derive(Debug, Clone)]
pub(super) struct Linked {
    pub(super) link: Link,
    pub(super) entry: Entry,
}

/// A position in the chain.
pub(super) struct Walk<'a> {
    keys: &'a ChainKeys,
    state: &'a State,
    /// By place: what the row there has to be.
    checkpoints: BTreeMap<i64, String>,
    last: Link,
}

/// Why the chain is broken, with the place.
pub(super) type Broken = Option<String>;

impl<'a> Walk<'a> {
    pub(super) fn new(keys: &'a ChainKeys, state: &'a State, checkpoints: BTreeMap<i64, String>) -> Self {
        Self { keys, state, checkpoints, last: state.start.clone() }
    }

    /// Takes the next row, in the order of their places.
    pub(super) fn step(&mut self, row: &Linked) -> Result<Broken> {
        let (seq, expected) = (row.link.seq, self.last.seq + 1);
        let what = format!("entry {seq} ({}, row {})", row.entry.action, row.entry.id);
        if seq < expected {
            return Ok(Some(format!("{what} was inserted: its place is taken or was pruned")));
        }
        if seq > self.state.head().seq {
            return Ok(Some(format!("{what} was inserted behind the end of the chain")));
        }
        if seq > expected {
            return Ok(Some(removed(expected, seq - 1)));
        }
        if !self.is_genuine(row)? {
            return Ok(Some(format!("{what} was changed, moved or inserted")));
        }
        self.last = row.link.clone();
        Ok(None)
    }

    fn is_genuine(&self, row: &Linked) -> Result<bool> {
        let (seq, mac) = (row.link.seq, &row.link.mac);
        let Some(span) = self.state.span_of(seq) else { return Ok(false) };
        // What a span ends with is signed, whether or not its key is known.
        let agrees_with_state = span.end.seq != seq || span.end.mac == *mac;
        let agrees_with_checkpoint = self.checkpoints.get(&seq).is_none_or(|expected| expected == mac);
        let agrees_with_key = match self.keys.find(&span.key) {
            Some(key) => row.entry.link(&key.links, &self.last)? == row.link,
            None => true,
        };
        Ok(agrees_with_state && agrees_with_checkpoint && agrees_with_key)
    }

    /// Says what is missing at the end.
    pub(super) fn finish(&self) -> Broken {
        let head = self.state.head().seq;
        if self.last.seq < head {
            return Some(removed(self.last.seq + 1, head));
        }
        let beyond = self.checkpoints.keys().next_back().filter(|seq| **seq > head)?;
        Some(format!("{}: a checkpoint names entry {beyond}", removed(head + 1, *beyond)))
    }
}

fn removed(first: i64, last: i64) -> String {
    if first == last {
        return format!("entry {first} was removed");
    }
    format!("entries {first} to {last} were removed")
}
