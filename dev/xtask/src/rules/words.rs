//! Words that certain files must not contain.

use super::source::Source;

/// Files of `shared/src` with rules and calculations only.
pub(super) const PURE: &[&str] = &[
    "parking/rules/billing.rs",
    "parking/rules/pricing.rs",
    "parking/rules/state.rs",
    "jobs/outcome.rs",
    "jobs/policy.rs",
    "jobs/transport/selection.rs",
    "jobs/schedule/timetable.rs",
    "parking/exports/csv.rs",
    "operations/demo/plan.rs",
    "operations/demo/traffic.rs",
    "operations/backup/checksum.rs",
    "parking/reports/calendar.rs",
    "parking/tariffs/calendar.rs",
    "parking/reports/insights.rs",
    "parking/reports/charts.rs",
    "platform/http/address.rs",
];
/// Every file of these crates is pure.
const PURE_CRATES: [&str; 2] = ["spelling/src/", "tariff/src/"];
const IMPURE: [&str; 5] = ["sea_orm", "redis", "tokio", "Clock", "Utc::now"];

const QUEUE_LIBRARY: [&str; 2] = ["apalis", "apalis_redis"];
const QUEUE_LIBRARY_FILES: usize = 3;

/// These rules contain the words that they forbid.
const OWN_FOLDER: &str = "dev/xtask/src/rules/";

pub(super) fn impure(sources: &[Source]) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in PURE.iter().map(|file| format!("shared/src/{file}")) {
        match sources.iter().find(|source| source.path == file) {
            Some(source) => offenders.extend(uses(source, &IMPURE)),
            None => offenders.push(format!("{file} does not exist")),
        }
    }
    let is_pure = |source: &&Source| PURE_CRATES.iter().any(|folder| source.path.starts_with(folder));
    offenders.extend(sources.iter().filter(is_pure).flat_map(|source| uses(source, &IMPURE)));
    offenders
}

pub(super) fn queue_library(sources: &[Source]) -> Vec<String> {
    let sources = sources.iter().filter(|source| !source.path.starts_with(OWN_FOLDER));
    let found: Vec<String> =
        sources.filter_map(|source| uses(source, &QUEUE_LIBRARY).into_iter().next()).collect();
    if found.len() > QUEUE_LIBRARY_FILES { found } else { Vec::new() }
}

pub(super) fn redis_commands(sources: &[Source]) -> Vec<String> {
    let is_allowed = |path: &str| path.starts_with("dev/devstack/") || path.starts_with(OWN_FOLDER);
    let sources = sources.iter().filter(|source| !is_allowed(&source.path));
    sources
        .flat_map(|source| source.code().map(move |(number, line)| (source, number, line)))
        .filter(|(_, _, line)| flushes(line) || lists_keys(line))
        .map(|(source, number, line)| format!("{}:{number}: {}", source.path, line.trim()))
        .collect()
}

fn flushes(line: &str) -> bool {
    ["flushdb", "flushall"].iter().any(|word| line.to_lowercase().contains(word))
}

/// A map's `.keys()` has no argument, and `KEYS[1]` belongs to a script.
fn lists_keys(line: &str) -> bool {
    line.replace(".keys()", "").contains(".keys(")
        || ["\"KEYS\"", "'KEYS'", "\"KEYS ", "\"keys\""].iter().any(|text| line.contains(text))
}

/// The lines with one of the words.
fn uses(source: &Source, words: &[&str]) -> Vec<String> {
    let found = source.code().filter_map(|(number, line)| {
        let word = words.iter().find(|word| has_word(line, word))?;
        Some(format!("{}:{number}: uses {word}", source.path))
    });
    found.collect()
}

/// Whether `line` has `word` without a letter, digit or underscore beside it.
fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(joins) && !line[at + word.len()..].starts_with(joins))
}
