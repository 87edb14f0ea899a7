//! Commands of operators as processes: what they refuse, name and protect.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{Engine, TestApp, binary};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::support::number;

/// Runs a program with the settings of the test and some others.
async fn operate(
    t: &TestApp,
    program: &str,
    arguments: &[&str],
    changed: &[(&str, &str)],
    input: &str,
) -> Output {
    let mut command = Command::new(binary(program));
    command.args(arguments).env_clear().envs(t.settings().iter().cloned()).envs(changed.iter().copied());
    command.env("PATH", "/usr/bin:/bin").current_dir(t.folder());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may end without reading.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn fails(output: &Output, why: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(why), "{why}: {output:?}");
    said
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[testkit::both_databases(together)]
async fn migrate_down_needs_its_phrase_and_an_unused_database(t: TestApp) {
    let down = async |more: &[&str]| {
        operate(&t, "parkade-api", &[&["migrate", "down"], more].concat(), &[], "").await
    };
    let phrase = ["--confirm", "delete all data"];
    fails(&down(&[]).await, "add --confirm \"delete all data\"");
    fails(&down(&["--confirm", "yes"]).await, "does not match");
    fails(&down(&phrase).await, "stop the API and all workers");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users").await, 0, "the schema is there");
    t.app.clone().finish().await;
    succeeds(&down(&phrase).await);
    let status = succeeds(&operate(&t, "parkade-api", &["migrate", "status"], &[], "").await);
    assert!(status.contains("Pending") && !status.contains("Applied"), "{status}");
}

#[testkit::both_databases(together)]
async fn health_fails_while_a_migration_is_missing(t: TestApp) {
    t.get("/health/ready", None).await.expect(200);
    testkit::execute(&t, "DELETE FROM seaql_migrations WHERE version = 'm21_currency'", []).await;
    t.get("/health/ready", None).await.problem(503, "unavailable");
    t.get("/health", None).await.problem(503, "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_create_names_its_database_and_never_makes_one() {
    let t = TestApp::start(Engine::Sqlite).await;
    let arguments = ["admin", "create", "--username", "boss", "--email", "boss@example.com"];
    let password = "tarmac lemon violin\n";
    let elsewhere = [("DATABASE_URL", "sqlite://elsewhere/parkade.db?mode=rwc")];
    let said =
        fails(&operate(&t, "parkade-api", &arguments, &elsewhere, password).await, "elsewhere/parkade.db");
    assert!(said.contains("does not exist") && !t.folder().join("elsewhere").exists(), "{said}");
    let created = operate(&t, "parkade-api", &arguments, &[], password).await;
    assert!(succeeds(&created).contains("Created administrator boss (id "));
    let said = String::from_utf8_lossy(&created.stderr);
    assert!(said.contains("Using the SQLite file ") && !said.contains("lemon"), "{said}");
    let login = json!({ "email": "boss@example.com", "password": "tarmac lemon violin" });
    t.post("/auth/login", None, login).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_database_urls_fail_at_once_with_their_target() {
    let t = TestApp::start(Engine::Sqlite).await;
    let url = testkit::postgres().await.url("no_such_database");
    let file = t.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = format!("sqlite://{}/parkade.db?mode=rwc", file.display());
    let began = Instant::now();
    for (url, target) in
        [(url.as_str(), "the database no_such_database at "), (&below_a_file, "file/parkade.db")]
    {
        let said = fails(&operate(&t, "parkade-api", &["serve"], &[("DATABASE_URL", url)], "").await, target);
        assert!(said.contains("DATABASE_URL") && !said.contains("retrying"), "{said}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_writable_folder_does_not_start() {
    let t = TestApp::start(Engine::Sqlite).await;
    let file = t.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("exports").display().to_string();
    for setting in ["UPLOAD_FOLDER", "MAIL_FOLDER"] {
        let output = operate(&t, "parkade-worker", &["run"], &[(setting, &below)], "").await;
        fails(&output, &format!("{setting}: cannot write to {below}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_databases_and_backups_are_private_and_backups_stay() {
    let t = TestApp::start(Engine::Sqlite).await;
    for name in ["parkade.db", "parkade.db-wal", "parkade.db-shm"] {
        assert_eq!(mode(&t.folder().join(name)), 0o600, "{name}");
    }
    let backup = t.folder().join("a.backup");
    let arguments = ["backup", backup.to_str().unwrap()];
    succeeds(&operate(&t, "parkade-api", &arguments, &[], "").await);
    assert_eq!(mode(&backup), 0o600);
    let before = std::fs::read(&backup).unwrap();
    fails(&operate(&t, "parkade-api", &arguments, &[], "").await, "exists already");
    assert_eq!(std::fs::read(&backup).unwrap(), before);
    let restored = "sqlite://restored/parkade.db?mode=rwc";
    let arguments = ["restore", arguments[1]];
    succeeds(&operate(&t, "parkade-api", &arguments, &[("DATABASE_URL", restored)], "").await);
    assert_eq!(mode(&t.folder().join("restored/parkade.db")), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_pipes_end_commands_quietly() {
    let t = TestApp::start(Engine::Sqlite).await;
    for command in
        ["parkade-api openapi", "parkade-api doctor", "parkade-api --help", "parkade-worker jobs list"]
    {
        let (program, arguments) = command.split_once(' ').unwrap();
        let line = format!("{} {arguments} | head -c 1", binary(program).display());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &line]).env_clear().envs(t.settings().iter().cloned()).current_dir(t.folder());
        let output = shell.env("PATH", "/usr/bin:/bin").env("LOG_LEVEL", "error").output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panic") && !said.contains("Broken pipe"), "{command}: {said}");
        assert_eq!(output.stdout.len(), 1, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_do_not_report_that_nothing_was_migrated() {
    let t = TestApp::start(Engine::Sqlite).await;
    let changed = [("LOG_LEVEL", "info"), ("MAIL_SERVR", "smtp.example.com")];
    let output = operate(&t, "parkade-api", &["migrate", "up"], &changed, "").await;
    succeeds(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("migrations") && said.contains("is it MAIL_SERVER?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_copied_into_an_empty_postgres() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (driver, lot) = (t.driver("Asha").await, t.lot(3).await);
    let booking = t.book(&driver, lot).await;
    t.release(&driver, booking).await.expect(200);
    t.book(&driver, lot).await;
    t.post("/export/csv/request", Some(&driver), json!({})).await.expect(202);
    let gone = t.lot(1).await;
    t.delete(&format!("/parking-lots/{gone}"), Some(&t.admin().await)).await.expect(200);
    let url = testkit::postgres().await.create_database("copied").await.unwrap();
    let copy = async || operate(&t, "parkade-api", &["copy", "--to", &url], &[], "").await;
    fails(&copy().await, "stop the API and all workers");
    let counted = number(&t, "SELECT COUNT(*) AS n FROM reservations").await;
    t.app.clone().finish().await;
    let said = succeeds(&copy().await);
    assert!(said.contains("compared row by row") && said.contains("the database copied at "), "{said}");
    fails(&copy().await, "contains data");

    let there = t.second_process(&[("DATABASE_URL", &url)]).await;
    assert_eq!(number(&there, "SELECT COUNT(*) AS n FROM reservations").await, counted);
    there.is_sound().await;
    there.log_in(&driver.email).await;
    assert!(there.lot(1).await > gone, "ids are not reused");
    succeeds(&operate(&t, "parkade-api", &["integrity"], &[("DATABASE_URL", &url)], "").await);
}
