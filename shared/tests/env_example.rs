//! `.env.example` and the README say what the code says.

use std::path::PathBuf;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.env.example")
}

#[test]
fn readme_settings_match_the_code() {
    let readme = std::fs::read_to_string(path().with_file_name("README.md")).expect("README.md");
    let missing: Vec<String> =
        shared::platform::settings::rows().into_iter().filter(|row| !readme.contains(row)).collect();
    assert!(missing.is_empty(), "not in README.md: {missing:#?}");
}

#[test]
fn env_example_matches_the_code() {
    let kept = std::fs::read_to_string(path()).expect(".env.example");
    let write = "cargo test -p shared --test env_example -- --ignored";
    assert_eq!(
        kept,
        shared::platform::settings::env_example(),
        "settings have changed; write the file anew: {write}"
    );
}

#[test]
#[ignore = "writes the file"]
fn write_env_example() {
    std::fs::write(path(), shared::platform::settings::env_example()).expect("it can be written");
}
