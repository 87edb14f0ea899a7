//! `cargo xtask rules`: the rules of `docs/ARCHITECTURE.md` that a program can prove.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Packages, and what must not be among the dependencies of the shipped code.
const DEPENDENCIES: [(&str, &[&str]); 4] = [
    ("api", &["worker", "devstack", "testkit", "bench", "chaos", "fuzz", "xtask"]),
    ("worker", &["api", "devstack", "testkit", "bench", "chaos", "fuzz", "xtask"]),
    ("shared", &["api", "worker", "devstack", "testkit", "bench", "chaos", "fuzz", "xtask"]),
    ("migration", &["api", "worker", "shared", "devstack", "testkit", "bench", "chaos", "fuzz", "xtask"]),
];

/// Rules and figures alone: no database, no Redis, no clock. Below `shared/src`.
const PURE: &[&str] = &[
    "parking/bookings/billing.rs",
    "parking/bookings/state.rs",
    "jobs/machine.rs",
    "jobs/policy.rs",
    "jobs/timetable.rs",
    "parking/exports/csv.rs",
    "operations/demo/shape.rs",
    "parking/lots/availability.rs",
    "operations/backup/sum.rs",
    "parking/reports/calendar.rs",
    "parking/reports/insights.rs",
    "parking/reports/monthly/charts.rs",
    "platform/http/address.rs",
];
const IMPURE: [&str; 5] = ["sea_orm", "redis", "tokio", "Clock", "Utc::now"];

/// The queue library stays replaceable.
const APALIS_FILES: usize = 3;

const LONGEST: usize = 350;
const LONGEST_LIST: usize = 600;

/// A file of the workspace.
struct Source {
    /// From the workspace on.
    path: String,
    lines: usize,
    /// The text with comments left blank.
    code: String,
}

pub(crate) fn run() -> Result<()> {
    let sources = sources()?;
    let rules = [
        ("the two front doors and the test servers stay apart", dependencies()?),
        ("pure files know no database, Redis, runtime or clock", pure(&sources)),
        ("the queue library is named in three files at most", apalis(&sources)),
        ("Redis is never emptied or listed outside devstack", redis_commands(&sources)),
        ("files are short enough to read", lengths(&sources)),
    ];
    for (rule, offenders) in &rules {
        println!("{} {rule}", if offenders.is_empty() { "ok  " } else { "FAIL" });
        offenders.iter().for_each(|offender| println!("       {offender}"));
    }
    let broken = rules.iter().filter(|(_, offenders)| !offenders.is_empty()).count();
    if broken > 0 {
        bail!("{broken} of {} rules are broken", rules.len());
    }
    Ok(())
}

fn dependencies() -> Result<Vec<String>> {
    let mut offenders = Vec::new();
    for (package, forbidden) in DEPENDENCIES {
        let tree =
            cargo::output(&["tree", "-e", "normal", "--prefix", "none", "--format", "{p}", "-p", package])?;
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        let mut found: Vec<&str> = names.filter(|name| forbidden.contains(name)).collect();
        found.sort_unstable();
        found.dedup();
        offenders.extend(found.iter().map(|name| format!("{package} depends on {name}")));
    }
    Ok(offenders)
}

fn pure(sources: &[Source]) -> Vec<String> {
    let pure =
        |source: &&Source| source.path.strip_prefix("shared/src/").is_some_and(|path| PURE.contains(&path));
    let words = |source: &Source| -> Vec<String> {
        let named = IMPURE.iter().filter(|word| has_word(&source.code, word));
        named.map(|word| format!("{} names {word}", source.path)).collect()
    };
    sources.iter().filter(pure).flat_map(words).collect()
}

fn apalis(sources: &[Source]) -> Vec<String> {
    let names = |source: &&Source| has_word(&source.code, "apalis") || has_word(&source.code, "apalis_redis");
    let found: Vec<String> = sources.iter().filter(names).map(|source| source.path.clone()).collect();
    if found.len() > APALIS_FILES { found } else { Vec::new() }
}

fn redis_commands(sources: &[Source]) -> Vec<String> {
    // A map's `.keys()` has no argument, and `KEYS[1]` belongs to a script.
    let listing = |line: &str| {
        line.replace(".keys()", "").contains(".keys(")
            || ["\"KEYS\"", "'KEYS'", "\"KEYS ", "\"keys\""].iter().any(|text| line.contains(text))
    };
    let emptying = |line: &str| ["flushdb", "flushall"].iter().any(|word| line.to_lowercase().contains(word));
    let outside = sources.iter().filter(|source| !source.path.starts_with("dev/devstack/"));
    outside
        .flat_map(|source| source.code.lines().zip(1..).map(move |(line, number)| (source, line, number)))
        .filter(|(_, line, _)| emptying(line) || listing(line))
        .map(|(source, line, number)| format!("{}:{number}: {}", source.path, line.trim()))
        .collect()
}

fn lengths(sources: &[Source]) -> Vec<String> {
    let most = |path: &str| {
        let list = path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.contains("/entities/")
            || path.starts_with("migration/");
        if list { LONGEST_LIST } else { LONGEST }
    };
    let long = sources.iter().filter(|source| source.lines > most(&source.path));
    long.map(|source| format!("{} has {} lines, {} at most", source.path, source.lines, most(&source.path)))
        .collect()
}

/// Whether `code` has `word` with no letter, digit or underscore around it.
fn has_word(code: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(joins) && !code[at + word.len()..].starts_with(joins))
}

/// Every Rust file of the workspace but this one, which names what it forbids.
fn sources() -> Result<Vec<Source>> {
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for parent in [cargo::workspace().to_owned(), cargo::workspace().join("dev")] {
        folders.extend(std::fs::read_dir(parent)?.flatten().map(|entry| entry.path()));
    }
    for package in folders.into_iter().filter(|folder| folder.join("Cargo.toml").is_file()) {
        rust_files(&package, &mut files)?;
    }
    files.sort();
    let sources = files.iter().map(|file| source(file)).collect::<Result<Vec<_>>>()?;
    Ok(sources.into_iter().filter(|source| source.path != file!()).collect())
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn source(file: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let path = file.strip_prefix(cargo::workspace()).unwrap_or(file).display().to_string();
    let code =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    Ok(Source { path, lines: text.lines().count(), code })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, code: &str) -> Vec<Source> {
        vec![Source { path: path.into(), lines: code.lines().count(), code: code.into() }]
    }

    #[test]
    fn words_are_whole_words() {
        assert!(has_word("use sea_orm::Value;", "sea_orm"));
        assert!(has_word("Utc::now()", "Utc::now"));
        assert!(!has_word("use sea_orm_migration::x;", "sea_orm"));
        assert!(!has_word("let predis = 1;", "redis"));
    }

    /// Defects 31 and 32.
    #[test]
    fn what_is_forbidden_is_found() {
        assert_eq!(
            pure(&one("shared/src/jobs/policy.rs", "use tokio::time;")),
            ["shared/src/jobs/policy.rs names tokio"]
        );
        assert!(pure(&one("shared/src/jobs/mod.rs", "use tokio::time;")).is_empty());
        for bad in ["cmd(\"FLUSHDB\")", "c.flushall()", "c.keys(\"a*\")", "cmd(\"KEYS\")"] {
            assert_eq!(redis_commands(&one("api/src/a.rs", bad)), [format!("api/src/a.rs:1: {bad}")]);
        }
        for good in ["redis.call('GET', KEYS[1])", "map.keys()"] {
            assert!(redis_commands(&one("api/src/a.rs", good)).is_empty(), "{good}");
        }
        assert!(redis_commands(&one("dev/devstack/src/redis.rs", "FLUSHALL")).is_empty());
        assert_eq!(lengths(&one("api/src/a.rs", &"\n".repeat(351))).len(), 1);
        assert!(lengths(&one("api/tests/it/a.rs", &"\n".repeat(351))).is_empty());
    }
}
