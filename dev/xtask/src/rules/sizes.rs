//! Limits for the length of files and of names.

use super::source::Source;

const LONGEST_FILE: usize = 350;
/// Of tests, entities and migrations, which are read from place to place.
const LONGEST_LIST: usize = 600;
const LONGEST_NAME: usize = 60;

pub(super) fn long_files(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| source.text.lines().count();
    let long = sources.iter().filter(|source| lines(source) > limit(&source.path));
    long.map(|source| format!("{}: {} lines, limit {}", source.path, lines(source), limit(&source.path)))
        .collect()
}

fn limit(path: &str) -> usize {
    let is_list = path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/entities/")
        || path.starts_with("migration/");
    if is_list { LONGEST_LIST } else { LONGEST_FILE }
}

/// All functions are checked, because tests are also declared by macros.
pub(super) fn long_names(sources: &[Source]) -> Vec<String> {
    let mut offenders = Vec::new();
    for source in sources {
        for (number, line) in source.code() {
            let Some((_, rest)) = line.split_once("fn ") else { continue };
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            if name.len() > LONGEST_NAME {
                offenders.push(format!("{}:{number}: {name} has {} characters", source.path, name.len()));
            }
        }
    }
    offenders
}
