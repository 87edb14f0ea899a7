//! Every file, function and page that the documents name exists.

#![expect(clippy::unwrap_used, reason = "this is test code")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Top-level folders and files that documents may name.
const TOP: [&str; 10] = [
    "api/",
    "worker/",
    "shared/",
    "migration/",
    "dev/",
    "docs/",
    "deploy/",
    "templates/",
    ".ci/",
    ".github/",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of the repository as a path from the root, except build output and version control.
fn files() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.iter().map(|path| path.strip_prefix(root()).unwrap().display().to_string()).collect()
}

/// The documents with their paths.
fn documents() -> Vec<(String, String)> {
    let is_document =
        |path: &String| path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'));
    let read = |path: String| (path.clone(), fs::read_to_string(root().join(path)).unwrap());
    files().into_iter().filter(is_document).map(read).collect()
}

/// The text between single backticks, outside fenced blocks.
fn code_spans(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.lines().flat_map(|line| line.split('`').skip(1).step_by(2))).collect()
}

/// The files that a name may refer to: a path from the root, or the end of one.
fn named<'a>(files: &'a [String], name: &str) -> Vec<&'a String> {
    let end = format!("/{name}");
    files.iter().filter(|file| *file == name || file.ends_with(&end)).collect()
}

/// Whether the text defines a function, type or constant of this name.
fn defines(text: &str, name: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    ["fn", "struct", "enum", "const", "static"].iter().any(|kind| {
        let item = format!("{kind} {name}");
        text.match_indices(&item).any(|(at, _)| is_end(&text[at + item.len()..]))
    })
}

#[test]
fn functions_in_the_walks_are_defined_where_they_say() {
    let files = files();
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let functions: Vec<(&str, &str)> =
        code_spans(&text).into_iter().filter_map(|span| span.split_once(".rs::")).collect();
    assert!(functions.len() > 20, "the walks name {functions:?}");
    let wrong = |(file, function): &(&str, &str)| {
        let found = named(&files, &format!("{file}.rs"));
        let text = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let defining: Vec<_> = found.iter().filter(|path| defines(&text(path), function)).collect();
        (defining.len() != 1)
            .then(|| format!("{file}.rs::{function} is defined in {defining:?}, of the candidates {found:?}"))
    };
    assert_none(functions.iter().filter_map(wrong));
}

#[test]
fn paths_in_the_documents_exist() {
    let files = files();
    let is_folder = |name: &str| {
        let start = format!("{}/", name.trim_end_matches('/'));
        files.iter().any(|file| file.starts_with(&start) || file.contains(&format!("/{start}")))
    };
    let is_wrong = |span: &&str| {
        let is_word = !span.contains([' ', '*', '{', '<', '$', ':']);
        let is_path = TOP.iter().any(|top| span.starts_with(top)) || span.ends_with(".rs");
        is_word && is_path && named(&files, span).is_empty() && !is_folder(span)
    };
    let documents = documents().into_iter().filter(|(path, _)| path != "CHANGELOG.md");
    assert_none(documents.flat_map(|(path, text)| {
        let wrong = code_spans(&text).into_iter().filter(is_wrong);
        wrong.map(|span| format!("{path} names {span}")).collect::<Vec<_>>()
    }));
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    assert_none(documents().into_iter().flat_map(|(path, text)| {
        let folder = root().join(&path).parent().unwrap().to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let is_broken =
            |link: &&str| !link.is_empty() && !link.contains("://") && !folder.join(link).exists();
        links.filter(is_broken).map(|link| format!("{path} links to {link}")).collect::<Vec<_>>()
    }));
}

/// The names after `prefix` in a source file, such as the variants of an enum.
fn names_after<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.split(prefix).skip(1).filter_map(|rest| rest.split(|c: char| !is_name(c)).next()).collect()
}

#[test]
fn cache_groups_are_used_where_their_table_says() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let record = read("docs/decisions/0011-cache-generations.md");
    let is_source = |path: &String| {
        let crates = ["shared/src/", "api/src/", "worker/src/"];
        crates.iter().any(|folder| path.starts_with(folder)) && !path.contains("/platform/cache/")
    };
    let sources: Vec<_> = files().into_iter().filter(is_source).map(|path| (read(&path), path)).collect();
    for group in names_after(&read("shared/src/platform/cache/group.rs"), "Self::") {
        let row = record.lines().find(|line| line.starts_with(&format!("| `{group}` |")));
        let places = code_spans(row.expect("a row of 0011")).split_off(1);
        let uses = |text: &str| names_after(text, "Group::").contains(group);
        let users: Vec<&str> =
            sources.iter().filter(|(text, _)| uses(text)).map(|(_, path)| path.as_str()).collect();
        for path in &users {
            assert!(places.iter().any(|place| path.contains(place)), "{path} is not in the row {group}");
        }
        for place in places {
            assert!(users.iter().any(|path| path.contains(place)), "{place} does not use {group}");
        }
    }
}

#[track_caller]
fn assert_none(problems: impl Iterator<Item = String>) {
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn decisions_are_short_complete_and_listed() {
    let index = fs::read_to_string(root().join("docs/decisions/README.md")).unwrap();
    for (path, text) in documents() {
        let Some(name) = path.strip_prefix("docs/decisions/").filter(|name| *name != "README.md") else {
            continue;
        };
        assert!(text.lines().count() <= 40, "{path} has more than 40 lines");
        assert!(
            text.starts_with(&format!("# {}. ", &name[..4])),
            "{path} has a different number in its title"
        );
        for section in ["## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(section), "{path} lacks {section}");
        }
        assert!(index.contains(&format!("({name})")), "{path} is not in the index");
    }
}
