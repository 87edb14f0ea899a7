//! The floors of `shared/src`: each may import itself and those below it.

use std::collections::BTreeSet;

use super::{imports::Import, source::Source};

const FOLDER: &str = "shared/src/";

/// From the ground up.
const FLOORS: [&str; 6] = ["base", "platform", "app.rs", "jobs", "parking", "operations"];

/// Declares the floors.
const ROOT: &str = "lib.rs";

pub(super) fn offenders(sources: &[Source], imports: &[Import]) -> Vec<String> {
    let strangers: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.path.strip_prefix(FOLDER))
        .filter_map(|path| path.split('/').next())
        .filter(|entry| *entry != ROOT && !FLOORS.contains(entry))
        .collect();
    let upwards = imports.iter().filter(|import| match (floor(&import.from), floor(&import.to)) {
        (Some(from), Some(to)) => from < to,
        _ => false,
    });
    let strangers = strangers.into_iter().map(|entry| format!("{FOLDER}{entry} belongs to no floor"));
    strangers.chain(upwards.map(ToString::to_string)).collect()
}

fn floor(path: &str) -> Option<usize> {
    let entry = path.strip_prefix(FOLDER)?.split('/').next()?;
    FLOORS.iter().position(|floor| *floor == entry)
}
