//! A SQLite file that one process holds for longer than a ping takes, and its log.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use super::{Db, wal::WriteAheadLog};

#[tokio::test]
async fn a_long_writer_of_a_sqlite_file_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("parkade.db").display());
    let (db, other) = (Db::connect(&url, 1).await.unwrap(), Db::connect(&url, 1).await.unwrap());
    let tx = db.begin().await.unwrap();
    let migrating = tokio::spawn(async move { other.migrate(testkit::for_migrations()).await });
    // Two pings and more, each of which finds the file locked.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(!migrating.is_finished());
    assert!(db.write().watchdog.as_ref().unwrap().is_responsive(), "a writer of this process is at work");
    tx.commit().await.unwrap();
    db.begin().await.expect("the file was available all the time").rollback().await.unwrap();
    migrating.await.unwrap().unwrap();
}

#[tokio::test]
async fn durable_commits_write_the_log_of_the_linked_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("parkade.db"), folder.path().join("link.db"));
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let db = Db::connect(&format!("sqlite://{}", link.display()), 1).await.unwrap();
    db.write().execute_unprepared("CREATE TABLE numbers (n INTEGER)").await.unwrap();
    let log = db.write().log.clone().expect("writes wait for the log");
    assert!(log.file().is_file(), "{log:?}");
    assert!(db.relaxed().log.is_none() && db.read().log.is_none());
    // A commit is an error if the disk is.
    let broken = db.write().with_log(WriteAheadLog::of(&file.join("no folder")));
    let error = broken.execute_unprepared("INSERT INTO numbers VALUES (1)").await.unwrap_err();
    assert!(matches!(error, DbErr::Conn(_)), "{error:?}");
    let both =
        async |n: i64| db.write().execute_unprepared(&format!("INSERT INTO numbers VALUES ({n})")).await;
    let (first, second) = tokio::join!(both(2), both(3));
    assert!(first.is_ok() && second.is_ok());
}
