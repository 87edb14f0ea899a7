//! The table of Redis keys in the operators' manual matches the code.

use std::path::PathBuf;

#[test]
fn documented_redis_keys_match_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    let document = std::fs::read_to_string(path).expect("docs/OPERATIONS.md");
    let (_, section) = document.split_once("## What is in Redis").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let kept: Vec<&str> =
        section.lines().filter(|line| line.starts_with('|') && line.contains('`')).collect();
    let rows = shared::platform::redis::table_rows();
    assert_eq!(kept, rows, "the table should be:\n{}", rows.join("\n"));
}
