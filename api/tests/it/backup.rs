//! `parkade-api backup` and `restore` as processes, while the system is in use.

use std::{
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use migration::{Migrator, MigratorTraitSelf};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{
    operations::backup::{self, PHRASE},
    platform::db::Db,
};
use testkit::{Engine, Processes, TestApp, binary};
use tokio::process::Command;

use crate::support::{Client, many_drivers, number};

/// Runs a command, on the test's database unless another one is given.
async fn operate(t: &TestApp, arguments: &[&str], database: Option<&str>, path: Option<&str>) -> Output {
    let mut command = Command::new(binary("parkade-api"));
    command.args(arguments).env_clear().envs(t.settings().iter().cloned()).current_dir(t.folder());
    command.env("PATH", path.unwrap_or("/usr/bin:/bin"));
    if let Some(url) = database {
        command.env("DATABASE_URL", url);
    }
    command.output().await.unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn fails(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{why}: {output:?}");
}

/// The URL of a second database.
async fn second_database(t: &TestApp) -> String {
    match t.engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", t.folder().join("elsewhere/parkade.db").display()),
        Engine::Postgres => {
            let name = format!("elsewhere_{}", uuid::Uuid::new_v4().simple());
            testkit::postgres().await.create_database(&name).await.unwrap()
        }
    }
}

async fn back_up(t: &TestApp, name: &str) -> (PathBuf, Value) {
    let file = t.folder().join(name);
    succeeds(&operate(t, &["backup", file.to_str().unwrap()], None, None).await);
    let bytes = std::fs::read(&file).unwrap();
    let manifest = bytes.split(|byte| *byte == b'\n').nth(1).unwrap();
    (file.clone(), serde_json::from_slice(manifest).unwrap())
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[testkit::both_databases]
async fn backup_of_a_live_system_restores_every_row(t: TestApp) {
    let lot = t.lot(30).await;
    let drivers = many_drivers(&t, "busy", 12).await;
    let (process, base) = Processes::of(&t, &[]).api().await;
    let (stop, bookings) = (AtomicBool::new(false), AtomicU32::new(0));
    let traffic = futures::future::join_all(drivers.iter().map(async |driver| {
        let client = Client::of(&base);
        while !stop.load(Ordering::Relaxed) {
            let (status, body) =
                client.post("/booking/book-spot", &driver.token, json!({ "lot_id": lot })).await;
            assert_eq!(status, 201, "{body}");
            let id = &body["reservation"]["id"];
            let (status, body) =
                client.post("/booking/release-spot", &driver.token, json!({ "reservation_id": id })).await;
            assert_eq!(status, 200, "{body}");
            bookings.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let backing_up = async {
        t.eventually("some bookings are made", async || bookings.load(Ordering::Relaxed) > 30).await;
        let made = back_up(&t, "a.backup").await;
        let during = bookings.load(Ordering::Relaxed);
        t.eventually("bookings continue", async || bookings.load(Ordering::Relaxed) > during + 10).await;
        stop.store(true, Ordering::Relaxed);
        made
    };
    let (_, (file, manifest)) = tokio::join!(traffic, backing_up);
    drop(process);
    let stays = manifest["tables"]["reservations"]["rows"].as_i64().unwrap();
    assert!(stays > 30 && stays < number(&t, "SELECT COUNT(*) AS n FROM reservations").await, "{manifest}");
    assert!(manifest["tables"]["jobs"]["rows"].as_i64().unwrap() >= stays, "{manifest}");

    let place = second_database(&t).await;
    let said = succeeds(&operate(&t, &["restore", file.to_str().unwrap()], Some(&place), None).await);
    assert!(said.starts_with("Restored, and compared row by row"), "{said}");
    // A second backup, of the restored database, has the same checksums.
    let again = t.folder().join("b.backup");
    succeeds(&operate(&t, &["backup", again.to_str().unwrap()], Some(&place), None).await);
    assert_eq!(serde_json::to_value(&backup::inspect(&again).unwrap().tables).unwrap(), manifest["tables"]);
    succeeds(&operate(&t, &["integrity"], Some(&place), None).await);

    // Confirmations that were pending in the backup are sent from the restored database.
    let there = t.second_process(&[("DATABASE_URL", &place)]).await;
    assert!(number(&there, "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued'").await >= stays);
    let driver = there.driver("Asha").await;
    there.post("/booking/book-spot", Some(&driver), json!({ "lot_id": lot })).await.expect(201);
    let worker = there.work();
    there
        .eventually("every job is done", async || {
            number(&there, "SELECT COUNT(*) AS n FROM jobs WHERE state <> 'succeeded'").await == 0
        })
        .await;
    worker.stop().await;
    there.is_sound().await;
}

#[testkit::both_databases]
async fn restore_needs_confirmation_and_stopped_processes(t: TestApp) {
    t.driver("Asha").await;
    let (file, manifest) = back_up(&t, "a.backup").await;
    let file = file.to_str().unwrap();
    let place = second_database(&t).await;
    succeeds(&operate(&t, &["restore", file], Some(&place), None).await);
    fails(&operate(&t, &["restore", file], Some(&place), None).await, "the database contains data");
    fails(&operate(&t, &["restore", file, "--confirm", "yes"], Some(&place), None).await, PHRASE);
    // An idle process counts as a user of the database, too.
    let used = t.second_process(&[("DATABASE_URL", &place)]).await;
    used.driver("Ravi").await;
    fails(
        &operate(&t, &["restore", file, "--confirm", PHRASE], Some(&place), None).await,
        "stop the API and all workers",
    );
    assert_eq!(number(&used, "SELECT COUNT(*) AS n FROM users").await, 2, "the database is unchanged");
    used.driver("Mira").await;
    used.app.db.close().await;
    succeeds(&operate(&t, &["restore", file, "--confirm", PHRASE], Some(&place), None).await);
    let there = t.second_process(&[("DATABASE_URL", &place)]).await;
    assert_eq!(number(&there, "SELECT COUNT(*) AS n FROM users").await, 1);
    assert_eq!(manifest["tables"]["users"]["rows"], 1);
}

#[testkit::both_databases]
async fn damaged_newer_and_foreign_backups_are_rejected(t: TestApp) {
    t.driver("Asha").await;
    let (file, manifest) = back_up(&t, "a.backup").await;
    let bytes = std::fs::read(&file).unwrap();
    let place = second_database(&t).await;
    let bad = t.folder().join("bad.backup");
    let restored = async |content: &[u8], why: &str| {
        std::fs::write(&bad, content).unwrap();
        fails(&operate(&t, &["restore", bad.to_str().unwrap()], Some(&place), None).await, why);
    };
    restored(&bytes[..bytes.len() - 100], "damaged or truncated").await;
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    restored(&damaged, "damaged or truncated").await;
    restored(b"SQLite format 3", "not a Parkade backup").await;
    let body = bytes.splitn(3, |byte| *byte == b'\n').nth(2).unwrap();
    let body = &body[..body.len() - 65];
    let sealed = |manifest: &Value, body: &[u8]| {
        let content = [b"parkade backup 1\n", manifest.to_string().as_bytes(), b"\n", body].concat();
        let seal: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        [&content[..], seal.as_bytes(), b"\n"].concat()
    };
    let mut later = manifest.clone();
    later["schema"].as_array_mut().unwrap().push(json!("m99_to_come"));
    restored(&sealed(&later, body), "m99_to_come").await;
    let mut other = manifest.clone();
    other["engine"] = json!(if t.engine == Engine::Sqlite { "postgres" } else { "sqlite" });
    restored(&sealed(&other, body), "different database engine").await;
    restored(
        &sealed(&manifest, b"nothing"),
        if t.engine == Engine::Sqlite { "not a database" } else { "pg_restore: " },
    )
    .await;
    // Intact, but the rows differ from the manifest.
    let mut lie = manifest.clone();
    lie["tables"]["users"]["rows"] = json!(7);
    restored(&sealed(&lie, body), "differ from the backup: users").await;
    match t.engine {
        Engine::Sqlite => assert!(names_in(&t.folder().join("elsewhere")).is_empty()),
        Engine::Postgres => {
            let db = Db::connect(&place, 1).await.unwrap();
            assert!(
                db.read().execute_unprepared("SELECT * FROM users").await.is_err(),
                "the database is empty"
            );
            // When psql fails, its error message is shown.
            db.read().execute_unprepared("CREATE VIEW exports AS SELECT 1 AS x").await.unwrap();
            db.close().await;
            let failed = operate(&t, &["restore", file.to_str().unwrap()], Some(&place), None).await;
            fails(&failed, "\"exports\" is not a table");
            let db = Db::connect(&place, 1).await.unwrap();
            db.read().execute_unprepared("DROP VIEW exports").await.unwrap();
            db.close().await;
        }
    }
    // The same on top of existing data, which is kept.
    succeeds(&operate(&t, &["restore", file.to_str().unwrap()], Some(&place), None).await);
    fails(
        &operate(&t, &["restore", bad.to_str().unwrap(), "--confirm", PHRASE], Some(&place), None).await,
        "differ from the backup: users",
    );
    let there = t.second_process(&[("DATABASE_URL", &place)]).await;
    assert_eq!(number(&there, "SELECT COUNT(*) AS n FROM users").await, 1);
}

#[testkit::both_databases]
async fn backup_of_an_older_schema_is_migrated(t: TestApp) {
    // A database that lacks the latest migration.
    let place = second_database(&t).await;
    let old = Db::connect(&place, 2).await.unwrap();
    let before = u32::try_from(migration::names().len() - 1).unwrap();
    Migrator(testkit::for_migrations()).up(&old.write().pool(), Some(before)).await.unwrap();
    old.close().await;
    let file = t.folder().join("old.backup");
    succeeds(&operate(&t, &["backup", file.to_str().unwrap()], Some(&place), None).await);
    // Restored over a current database, with tables that the old one does not have.
    let now = second_database(&t).await.replace("elsewhere/parkade.db", "elsewhere/now.db");
    let new = Db::connect(&now, 2).await.unwrap();
    new.migrate(testkit::for_migrations()).await.unwrap();
    new.close().await;
    succeeds(&operate(&t, &["restore", file.to_str().unwrap()], Some(&now), None).await);
    let status = succeeds(&operate(&t, &["migrate", "status"], Some(&now), None).await);
    assert!(!status.contains("Pending") && status.lines().count() > 10, "{status}");
    succeeds(&operate(&t, &["integrity"], Some(&now), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_folder_is_named_by_time_and_pruned() {
    let t = TestApp::start(Engine::Sqlite).await;
    let folder = t.folder().join("backups");
    std::fs::create_dir(&folder).unwrap();
    for name in
        ["parkade-20200101T000000Z.backup", "parkade-20210101T000000Z.backup", "parkade-mine.backup", "notes"]
    {
        std::fs::write(folder.join(name), "").unwrap();
    }
    fails(&operate(&t, &["backup"], None, None).await, "name a file, or set BACKUP_FOLDER");
    let mut command = Command::new(binary("parkade-api"));
    command.args(["backup", "--keep", "2"]).env_clear().envs(t.settings().iter().cloned());
    let done = command.env("BACKUP_FOLDER", &folder).current_dir(t.folder()).output().await.unwrap();
    let said = succeeds(&done);
    assert!(said.contains("Deleted ") && said.contains("parkade-20200101T000000Z.backup"), "{said}");
    let kept = backup::files(&folder).unwrap();
    assert_eq!((kept.len(), kept[0].0.ends_with("parkade-20210101T000000Z.backup")), (2, true));
    assert_eq!(names_in(&folder).len(), 4, "foreign files stay, and no partial file is left");
    let newest = kept[1].0.to_str().unwrap();
    assert!(
        succeeds(&operate(&t, &["restore", "--check", newest], None, None).await).contains("is complete")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_password_is_never_on_a_command_line() {
    let t = TestApp::start(Engine::Postgres).await;
    let url = t.settings().iter().find(|(name, _)| name == "DATABASE_URL").unwrap().1.clone();
    let url = url.replace("postgres@", "postgres:very-secret%21@");
    // A wrapper around the real pg_dump that records how it was called.
    let real = testkit::postgres().await.bin("pg_dump");
    let (folder, log) = (t.folder().join("bin"), t.folder().join("called"));
    std::fs::create_dir(&folder).unwrap();
    let script =
        format!("#!/bin/sh\necho \"$@ / $PGPASSWORD\" > {}\nexec {} \"$@\"\n", log.display(), real.display());
    std::fs::write(folder.join("pg_dump"), script).unwrap();
    std::fs::set_permissions(folder.join("pg_dump"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let file = t.folder().join("a.backup");
    succeeds(&operate(&t, &["backup", file.to_str().unwrap()], Some(&url), Some(&path)).await);
    let called = std::fs::read_to_string(log).unwrap();
    let (arguments, password) = called.trim().rsplit_once(" / ").unwrap();
    assert_eq!((arguments.contains("very-secret"), password), (false, "very-secret!"), "{called}");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap()) & 0o777, 0o600);
}
