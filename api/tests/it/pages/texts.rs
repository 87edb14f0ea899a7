//! The catalogues: each text is there in each language, and is used.

use std::collections::BTreeSet;

use api::site::{i18n::Language, sources::SOURCES};

/// Keys that are put together from a beginning and a value.
const FAMILIES: [&str; 17] = [
    "admin-",
    "delivery-",
    "done-",
    "error-",
    "field-",
    "job-",
    "method-",
    "month-",
    "payment-",
    "rule-",
    "service-",
    "sort-",
    "spot-",
    "stage-",
    "state-",
    "warning-",
    "weekday-",
];

fn keys(source: &str) -> BTreeSet<String> {
    let lines = source.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    lines.filter_map(|line| line.split_once(" =")).map(|(key, _)| key.to_owned()).collect()
}

/// The arguments of a message.
fn arguments(source: &str, key: &str) -> BTreeSet<String> {
    let start = source.find(&format!("\n{key} =")).unwrap() + 1;
    let rest = &source[start..];
    let end = rest
        .match_indices('\n')
        .map(|(at, _)| at)
        .find(|at| rest[at + 1..].starts_with(|c: char| c.is_ascii_lowercase() || c == '#' || c == '\n'));
    let message = &rest[..end.unwrap_or(rest.len())];
    message.split('$').skip(1).map(|rest| rest.split([' ', '}']).next().unwrap().to_owned()).collect()
}

/// Every text in quotes in the templates and in the code of the pages.
fn quoted() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut sources: Vec<String> = SOURCES.iter().map(|(_, source)| (*source).to_owned()).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages");
    for folder in [
        folder.clone(),
        folder.join("admin"),
        folder.join("work"),
        folder.join("../site"),
        folder.join("../routes"),
    ] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                sources.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for source in sources {
        found.extend(source.split('"').map(ToOwned::to_owned));
    }
    found
}

#[test]
fn every_language_has_the_same_texts() {
    let english = keys(Language::English.source());
    for language in Language::ALL {
        assert_eq!(keys(language.source()), english, "{language}");
        for key in &english {
            let expected = arguments(Language::English.source(), key);
            assert_eq!(arguments(language.source(), key), expected, "{key} in {language}");
        }
    }
}

#[test]
fn every_text_of_the_templates_is_in_the_catalogue() {
    let known = keys(Language::English.source());
    for (name, source) in SOURCES {
        for (at, _) in source.match_indices("t(\"") {
            // Other functions end in this letter, too.
            if source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let key = source[at + 3..].split('"').next().unwrap();
            let is_family = FAMILIES.contains(&key);
            assert!(is_family || known.contains(key), "{key} in {name}");
        }
    }
}

/// Refusals that no page can cause: of routes without a page, and of the command line.
const ELSEWHERE: [&str; 11] = [
    "already_refunded",
    "already_verified",
    "last_admin",
    "no_code",
    "no_phone_number",
    "no_sms",
    "not_an_attendant",
    "not_paid",
    "password_changed",
    "phone_changed",
    "too_many_tries",
];

/// The codes of refusals in a folder.
fn codes(folder: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        for start in ["conflict(", "code: ", "_key\", "] {
            let rests = source.split(start).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            let codes = rests.filter_map(|rest| rest.split('"').next());
            let codes = codes.filter(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            found.extend(codes.map(ToOwned::to_owned));
        }
    }
}

#[test]
fn every_refusal_on_a_page_has_a_text() {
    let (mut found, known) = (BTreeSet::new(), keys(Language::English.source()));
    let shared = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src");
    codes(&shared.join("parking"), &mut found);
    codes(&shared.join("jobs"), &mut found);
    for code in found.iter().filter(|code| !ELSEWHERE.contains(&code.as_str())) {
        assert!(known.contains(&format!("error-{}", code.replace('_', "-"))), "no text for {code}");
    }
    assert!(ELSEWHERE.iter().all(|code| found.contains(*code)) && found.len() > 40);
}

#[test]
fn every_text_of_the_catalogue_is_used() {
    let quoted = quoted();
    for key in keys(Language::English.source()) {
        let is_family = FAMILIES.iter().any(|family| key.starts_with(family));
        assert!(is_family || quoted.contains(&key), "{key}");
    }
}
