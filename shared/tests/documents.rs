//! Documents that repeat facts from the code. `UPDATE_DOCS=1` rewrites the generated ones.

#![expect(clippy::unwrap_used, reason = "this is test code")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use shared::platform::{
    config::{Config, Sources},
    settings::{self, SETTINGS},
};

fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a file with the generated text, or writes it if `UPDATE_DOCS` is set.
#[expect(clippy::disallowed_methods, reason = "a switch for developers, not a setting")]
fn assert_generated(path: &str, generated: &str) {
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        fs::write(in_repository(path), generated).unwrap();
    }
    assert!(read(path) == generated, "{path} is stale: UPDATE_DOCS=1 cargo test -p shared --test documents");
}

#[test]
fn settings_page_matches_the_settings() {
    assert_generated("docs/SETTINGS.md", &settings::markdown());
}

#[test]
fn env_example_matches_the_settings() {
    assert_generated(".env.example", &settings::env_example());
}

#[test]
fn ranges_of_numbers_are_those_that_are_enforced() {
    let accepts = |name: &str, value: u64| Config::load(Sources::of([(name, value.to_string())])).is_ok();
    for setting in SETTINGS {
        let Some((least, most)) = setting.range else { continue };
        let name = setting.name;
        assert!(accepts(name, least) && accepts(name, most), "{name}: {least} or {most} is rejected");
        assert!(!accepts(name, most + 1), "{name}: {} is accepted", most + 1);
        assert!(least == 0 || !accepts(name, least - 1), "{name}: {} is accepted", least - 1);
    }
}

/// The compose file's own servers need none of these, or they name files.
const NOT_IN_COMPOSE: [&str; 15] = [
    "REDIS_PORT",
    "REDIS_PASSWORD",
    "REDIS_URL",
    "CACHE_REDIS_URL",
    "QUEUE_REDIS_URL",
    "CELERY_BROKER_URL",
    "NOTIFICATION_REDIS_URL",
    "REDIS_CA_FILE",
    "REDIS_SENTINELS",
    "REDIS_SENTINEL_SERVICE",
    "REDIS_SENTINEL_PASSWORD",
    "REDIS_SENTINEL_TLS",
    "REDIS_PREFIX",
    "MAIL_CA_FILE",
    "MAIL_FOLDER",
];

#[test]
fn the_compose_file_passes_on_every_setting() {
    let compose = read("docker-compose.yml");
    let passed_on: BTreeSet<&str> =
        compose.lines().filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name).collect();
    let missing: Vec<_> =
        SETTINGS.iter().map(|setting| setting.name).filter(|name| !passed_on.contains(name)).collect();
    assert_eq!(missing, NOT_IN_COMPOSE);
}

/// The names of `[workspace.dependencies]`.
fn workspace_dependencies() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let (_, table) = manifest.split_once("[workspace.dependencies]").unwrap();
    let lines = table.lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_dependency_is_explained_and_no_other() {
    let document = read("docs/DEPENDENCIES.md");
    let cells = document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let explained: BTreeSet<String> = cells
        .filter(|cell| cell.starts_with('`'))
        .flat_map(|cell| cell.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect();
    let used = workspace_dependencies();
    let different: Vec<_> = explained.symmetric_difference(&used).collect();
    assert!(different.is_empty(), "in docs/DEPENDENCIES.md or in Cargo.toml, not in both: {different:?}");
}
