//! The keys of the chain, and what a walk finds, without a database.

use std::collections::BTreeMap;

use super::{
    chain::{ChainKeys, Link, Proof, State},
    checkpoint::Checkpoint,
    entry::Entry,
    walk::{Linked, Walk},
};
use crate::platform::{
    config::{Config, Sources},
    keys::Keys,
};

const ONE: &str = "one secret that is long enough: 32 bytes";
const TWO: &str = "two secrets that are long enough: 32 bytes";

fn keys(secrets: &str) -> ChainKeys {
    let config = Config::load(Sources::of([("APP_SECRET", secrets)])).unwrap();
    ChainKeys::new(&Keys::new(&config).unwrap()).unwrap()
}

/// Adds rows to the chain.
fn extend(chain: &mut Vec<Linked>, state: &mut State, keys: &ChainKeys, rows: i64) {
    let key = state.open_span(keys, Proof::Genuine).unwrap();
    for _ in 0..rows {
        let entry = Entry {
            id: chain.len() as i64 + 1,
            at: "2026-12-01T12:00:00Z".parse().unwrap(),
            actor_id: Some(1),
            origin: "203.0.113.7".into(),
            action: "lot_changed".into(),
            object_kind: "lot".into(),
            object_id: Some(7),
            details: "{}".into(),
        };
        let link = entry.link(&key.links, state.head()).unwrap();
        chain.push(Linked { link: link.clone(), entry });
        state.advance(link);
    }
}

fn walk(keys: &ChainKeys, state: &State, chain: &[Linked], checkpoints: &[(i64, &str)]) -> Option<String> {
    let checkpoints: BTreeMap<i64, String> =
        checkpoints.iter().map(|(seq, mac)| (*seq, (*mac).to_owned())).collect();
    let mut walk = Walk::new(keys, state, checkpoints);
    chain.iter().find_map(|row| walk.step(row).unwrap()).or_else(|| walk.finish())
}

#[test]
fn every_manipulation_is_found_where_it_begins() {
    let (keys, mut state, mut chain) = (keys(ONE), State::default(), Vec::new());
    extend(&mut chain, &mut state, &keys, 6);
    assert_eq!(walk(&keys, &state, &chain, &[]), None);
    type Manipulate = fn(&mut Vec<Linked>);
    let cases: [(&str, Manipulate, &str); 9] = [
        (
            "changed",
            |rows| rows[2].entry.origin = "203.0.113.8".into(),
            "entry 3 (lot_changed, row 3) was changed",
        ),
        ("removed", |rows| drop(rows.remove(2)), "entry 3 was removed"),
        ("several removed", |rows| drop(rows.drain(1..4)), "entries 2 to 4 were removed"),
        ("the last removed", |rows| rows.truncate(4), "entries 5 to 6 were removed"),
        ("all removed", Vec::clear, "entries 1 to 6 were removed"),
        (
            "the last changed",
            |rows| rows[5].entry.details = "{ }".into(),
            "entry 6 (lot_changed, row 6) was changed",
        ),
        (
            "inserted at a taken place",
            |rows| rows.insert(3, rows[2].clone()),
            "entry 3 (lot_changed, row 3) was inserted",
        ),
        (
            "inserted at the end",
            |rows| {
                let mut row = rows[5].clone();
                row.link.seq = 7;
                rows.push(row);
            },
            "entry 7 (lot_changed, row 6) was inserted behind the end",
        ),
        (
            "reordered",
            |rows| {
                let (one, two) = (rows[2].entry.clone(), rows[3].entry.clone());
                (rows[2].entry, rows[3].entry) = (two, one);
            },
            "entry 3 (lot_changed, row 4) was changed, moved",
        ),
    ];
    for (name, manipulate, expected) in cases {
        let mut rows = chain.clone();
        manipulate(&mut rows);
        let found = walk(&keys, &state, &rows, &[]).unwrap_or_default();
        assert!(found.starts_with(expected), "{name}: {found:?}");
    }
}

#[test]
fn a_checkpoint_reveals_a_tail_removed_with_its_state() {
    let (keys, mut state, mut chain) = (keys(ONE), State::default(), Vec::new());
    extend(&mut chain, &mut state, &keys, 3);
    let earlier = state.clone();
    extend(&mut chain, &mut state, &keys, 2);
    let mac = state.head().mac.clone();
    assert_eq!(walk(&keys, &earlier, &chain[..3], &[]), None, "nothing inside the database shows it");
    let found = walk(&keys, &earlier, &chain[..3], &[(5, &mac)]).unwrap();
    assert_eq!(found, "entries 4 to 5 were removed: a checkpoint names entry 5");
    assert_eq!(walk(&keys, &state, &chain, &[(5, &mac)]), None);
    assert!(walk(&keys, &state, &chain, &[(4, &mac)]).unwrap().contains("entry 4"));
}

#[test]
fn checkpoints_are_found_in_logs_and_signed() {
    let keys = keys(ONE);
    let checkpoint = Checkpoint::new(&keys, &Link { seq: 12, mac: "ab".repeat(32) }).unwrap();
    let log = format!(
        "INFO x checkpoint=\"{checkpoint}\" worker\n{{\"checkpoint\":\"{checkpoint}\"}}\naudit-checkpoint:x"
    );
    assert_eq!(Checkpoint::find_all(&log), [checkpoint.clone(), checkpoint.clone()]);
    assert_eq!(checkpoint.prove(&keys).unwrap(), Proof::Genuine);
    assert_eq!(checkpoint.prove(&self::keys(TWO)).unwrap(), Proof::UnknownKey);
    let forged = Checkpoint::find_all(&checkpoint.to_string().replace(":12:", ":13:"));
    assert_eq!(forged[0].prove(&keys).unwrap(), Proof::Forged);
}

#[test]
fn a_new_key_continues_the_chain_and_the_old_one_ends() {
    let (old, both) = (keys(ONE), keys(&format!("{TWO},{ONE}")));
    let (mut state, mut chain) = (State::default(), Vec::new());
    extend(&mut chain, &mut state, &old, 3);
    extend(&mut chain, &mut state, &both, 3);
    assert_eq!(state.spans.len(), 2);
    assert_eq!(walk(&both, &state, &chain, &[]), None);
    // A process that has not been restarted yet, but knows the new key as a verifier.
    extend(&mut chain, &mut state, &keys(&format!("{ONE},{TWO}")), 2);
    assert_eq!((state.spans.len(), walk(&both, &state, &chain, &[])), (2, None));
    // Without the old key the order of its rows is still known, and so is its last row.
    let new = keys(TWO);
    assert_eq!(walk(&new, &state, &chain, &[]), None);
    chain.remove(1);
    assert_eq!(walk(&new, &state, &chain, &[]).unwrap(), "entry 2 was removed");
}

#[test]
fn what_a_new_key_cannot_prove_stays_marked() {
    let (mut state, mut chain) = (State::default(), Vec::new());
    extend(&mut chain, &mut state, &keys(ONE), 3);
    let new = keys(TWO);
    state.open_span(&new, Proof::UnknownKey).unwrap();
    assert!(state.spans[0].is_unproven && !state.spans[1].is_unproven);
    extend(&mut chain, &mut state, &new, 1);
    assert_eq!(walk(&new, &state, &chain, &[]), None);
}

#[test]
fn a_pruned_chain_begins_where_pruning_ended() {
    let (keys, mut state, mut chain) = (keys(ONE), State::default(), Vec::new());
    extend(&mut chain, &mut state, &keys, 5);
    state.begin_at(chain[1].link.clone());
    assert_eq!(walk(&keys, &state, &chain[2..], &[]), None);
    assert_eq!(walk(&keys, &state, &chain[3..], &[]).unwrap(), "entry 3 was removed");
    assert!(walk(&keys, &state, &chain[1..], &[]).unwrap().contains("was pruned"));
    state.begin_at(chain[4].link.clone());
    assert_eq!((walk(&keys, &state, &[], &[]), state.spans.len()), (None, 1));
}
