//! Plants a violation of each rule in a small tree that obeys all of them.

use super::{check::check, dependencies, source::Source, words::PURE};

const FLOORS: &str = "each floor of shared/src imports only the floors below it";
const CYCLES: &str = "no files and no folders import each other in a cycle";

fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

/// What is broken in the tree with these files.
fn broken(files: &[(&str, &str)]) -> Vec<(&'static str, Vec<String>)> {
    let planted = files.iter().map(|(path, text)| source(path, text));
    let pure = PURE.iter().map(|file| source(&format!("shared/src/{file}"), ""));
    let pure = pure.filter(|pure| files.iter().all(|(path, _)| *path != pure.path));
    let results = check(&planted.chain(pure).collect::<Vec<_>>()).unwrap();
    results.into_iter().filter(|(_, offenders)| !offenders.is_empty()).collect()
}

/// The one rule that is broken, and by what.
fn only(files: &[(&str, &str)]) -> (&'static str, Vec<String>) {
    let mut broken = broken(files);
    assert_eq!(broken.len(), 1, "{broken:?}");
    broken.remove(0)
}

/// The cycles in `api/src` with these files; its root declares the modules `a` and `b`.
fn cycles(files: &[(&str, &str)]) -> Vec<String> {
    let root = [("api/src/lib.rs", "mod a; mod b;")];
    let mut broken = broken(&[&root, files].concat());
    assert!(broken.iter().all(|(rule, _)| *rule == CYCLES), "{broken:?}");
    broken.pop().map(|(_, offenders)| offenders).unwrap_or_default()
}

#[test]
fn a_clean_tree_breaks_no_rule() {
    let files = [
        ("shared/src/lib.rs", "pub mod base; pub mod jobs;"),
        ("shared/src/base/mod.rs", "pub struct Clock;"),
        ("shared/src/jobs/mod.rs", "use crate::base::Clock;"),
    ];
    assert_eq!(broken(&files), []);
}

#[test]
fn an_import_of_a_higher_floor_is_found() {
    let (rule, offenders) = only(&[
        ("shared/src/lib.rs", "pub mod platform; pub mod jobs;"),
        ("shared/src/platform/mod.rs", "pub mod redis;"),
        ("shared/src/platform/redis.rs", "\nuse crate::jobs::Queue;"),
        ("shared/src/jobs/mod.rs", "pub enum Queue {}"),
    ]);
    assert_eq!(rule, FLOORS);
    assert_eq!(
        offenders,
        ["shared/src/platform/redis.rs:2: crate::jobs::Queue is in shared/src/jobs/mod.rs"]
    );
    let (rule, offenders) = only(&[("shared/src/stray/mod.rs", "")]);
    assert_eq!((rule, offenders), (FLOORS, vec!["shared/src/stray belongs to no floor".to_owned()]));
}

#[test]
fn two_files_that_import_each_other_are_found() {
    let found = cycles(&[
        ("api/src/a.rs", "use crate::b::B; pub struct A;"),
        ("api/src/b.rs", "pub struct B;\nfn b() { super::a::A; }"),
    ]);
    assert_eq!(
        found,
        [
            "api/src: 2 in a cycle:",
            "  api/src/a.rs:1: crate::b::B is in api/src/b.rs",
            "  api/src/b.rs:2: super::a::A is in api/src/a.rs",
        ]
    );
}

#[test]
fn two_folders_that_import_each_other_are_found() {
    let found = cycles(&[
        ("api/src/a/mod.rs", "mod one; pub mod two;"),
        ("api/src/a/one.rs", "use crate::b::one::X;"),
        ("api/src/a/two.rs", "pub struct Y;"),
        ("api/src/b/mod.rs", "pub mod one; mod two;"),
        ("api/src/b/one.rs", "pub struct X;"),
        ("api/src/b/two.rs", "use crate::a::two::Y;"),
    ]);
    assert_eq!(found[0], "api/src: 2 in a cycle:");
}

#[test]
fn a_child_that_imports_from_its_parent_is_found() {
    let found = cycles(&[
        ("api/src/a.rs", "mod c; use c::C; pub struct A;"),
        ("api/src/a/c.rs", "use super::A; pub struct C;"),
    ]);
    assert_eq!(found[0], "api/src/a: 2 in a cycle:");
}

#[test]
fn imports_through_aliases_and_macros_are_found() {
    for a in [
        "use crate::b; fn a() { b::f() }",
        "use api::b::f; fn a() { f() }",
        "use crate::*; fn a() { b::f() }",
        "fn a() { println!(\"{}\", crate::b::f()) }",
        "type A = Vec<crate::b::B>;",
    ] {
        let b = "use crate::a::A; pub struct B; pub fn f() {}";
        let a = format!("{a} pub struct A;").replacen("type A", "type T", 1);
        assert_eq!(cycles(&[("api/src/a.rs", &a), ("api/src/b.rs", b)]).len(), 3, "{a}");
    }
}

#[test]
fn a_re_export_counts_as_the_file_that_defines_it() {
    let table_of_contents = ("api/src/a/mod.rs", "mod one; mod two; pub use one::One; pub use two::Two;");
    let two = ("api/src/a/two.rs", "pub struct Two;");
    let b = ("api/src/b.rs", "");
    assert!(
        cycles(&[table_of_contents, ("api/src/a/one.rs", "use super::Two; pub struct One;"), two, b])
            .is_empty()
    );
    let two = ("api/src/a/two.rs", "use crate::a::One; pub struct Two;");
    assert!(
        !cycles(&[table_of_contents, ("api/src/a/one.rs", "use super::Two; pub struct One;"), two, b])
            .is_empty()
    );
}

#[test]
fn imports_in_test_code_do_not_count() {
    for test in ["#[cfg(test)] mod tests { use crate::b::B; }", "#[cfg(test)] mod tests;"] {
        let found = cycles(&[
            ("api/src/a.rs", &format!("{test} pub struct A;")),
            ("api/src/a/tests.rs", "use crate::b::B;"),
            ("api/src/b.rs", "use crate::a::A; pub struct B;"),
        ]);
        assert!(found.is_empty(), "{test}: {found:?}");
    }
}

#[test]
fn impure_and_missing_pure_files_are_found() {
    let path = format!("shared/src/{}", PURE[0]);
    let (_, offenders) = only(&[(&path, "// tokio\nuse tokio::time;")]);
    assert_eq!(offenders, [format!("{path}:2: uses tokio")]);
    assert_eq!(broken(&[(&path, "use sea_orm_migration::x; let predis = 1;")]), []);
    let without = check(&[]).unwrap();
    assert!(without.iter().any(|(_, offenders)| offenders.contains(&format!("{path} does not exist"))));
}

#[test]
fn a_fourth_file_with_the_queue_library_is_found() {
    let files = ["a", "b", "c", "d"].map(|name| (format!("worker/src/{name}.rs"), "use apalis::prelude;"));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    assert_eq!(broken(&files[..3]), []);
    assert_eq!(only(&files).1.len(), 4);
}

#[test]
fn redis_commands_on_all_keys_are_found() {
    for bad in ["cmd(\"FLUSHDB\")", "c.flushall()", "c.keys(\"a*\")", "cmd(\"KEYS\")"] {
        let (_, offenders) = only(&[("api/tests/a.rs", &format!("// why\n{bad}"))]);
        assert_eq!(offenders, [format!("api/tests/a.rs:2: {bad}")]);
    }
    for good in ["redis.call('GET', KEYS[1])", "map.keys()"] {
        assert_eq!(broken(&[("api/tests/a.rs", good)]), [], "{good}");
    }
    assert_eq!(broken(&[("dev/devstack/tests/redis.rs", "FLUSHALL")]), []);
}

#[test]
fn long_files_and_long_names_are_found() {
    let (rule, offenders) = only(&[("api/tests/it.rs", &format!("fn {}() {{}}", "x".repeat(61)))]);
    assert_eq!(rule, "functions have names of at most 60 characters");
    assert!(offenders[0].starts_with("api/tests/it.rs:1: xxx"), "{offenders:?}");
    let lines = |count| "\n".repeat(count);
    assert_eq!(only(&[("api/src/a.rs", &lines(351))]).1, ["api/src/a.rs: 351 lines, limit 350"]);
    assert_eq!(broken(&[("api/src/a.rs", &lines(350)), ("api/tests/a.rs", &lines(600))]), []);
    assert_eq!(only(&[("api/tests/a.rs", &lines(601))]).1.len(), 1);
}

#[test]
fn forbidden_dependencies_are_found() {
    let tree = |package: &str| Ok(format!("{package} v0.1.0\nserde v1.0.0\nbenchmark v1.0.0"));
    assert_eq!(dependencies::offenders(tree).unwrap(), [""; 0]);
    let tree = |package: &str| {
        Ok(if package == "api" { "testkit v0.1.0\nworker v0.1.0\n".into() } else { String::new() })
    };
    assert_eq!(dependencies::offenders(tree).unwrap(), ["api depends on testkit", "api depends on worker"]);
}
