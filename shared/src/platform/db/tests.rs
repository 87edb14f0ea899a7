//! A SQLite file that one process holds for longer than a ping takes.

use std::time::Duration;

use super::Db;

#[tokio::test]
async fn a_long_writer_of_a_sqlite_file_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("parkade.db").display());
    let (db, other) = (Db::connect(&url, 1).await.unwrap(), Db::connect(&url, 1).await.unwrap());
    let tx = db.begin().await.unwrap();
    let migrating = tokio::spawn(async move { other.migrate(testkit::for_migrations()).await });
    let watchdog = db.write().watchdog.clone().unwrap();
    let down = async {
        while !watchdog.is_down() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), down).await.expect("pings have to wait for the writer");
    tx.commit().await.unwrap();
    db.begin().await.expect("the file was available all the time").rollback().await.unwrap();
    migrating.await.unwrap().unwrap();
}
