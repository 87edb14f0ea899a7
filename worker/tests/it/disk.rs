//! Exports when the disk is full.

use std::{path::Path, process::Command};

use serde_json::json;
use tempfile::TempDir;
use testkit::{Driver, TestApp};
use uuid::Uuid;

use crate::support::{driver_with, file_of, files_of, reaches, request_export, request_export_with};

/// A small tmpfs, which only root can mount.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), "size=1m");
        Self(folder)
    }

    fn grow(&self) {
        mount(self.0.path(), "remount,size=64m");
    }
}

fn mount(folder: &Path, options: &str) {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "parkade-test"]).arg(folder);
    assert!(mount.status().unwrap().success(), "this test mounts a tmpfs and must run as root");
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().unwrap();
    }
}

/// Asserts that the owner sees why the export failed, and no file.
async fn assert_export_failed(t: &TestApp, driver: &Driver, id: Uuid) {
    let row = reaches(t, id, "failed").await;
    assert_eq!((row.attempt, row.error.as_deref()), (1, Some("storage full")), "a full disk is not retried");
    let task = t.get(&format!("/tasks/{id}"), Some(driver)).await.expect(200).body;
    assert_eq!((&task["state"], &task["error"]), (&"FAILURE".into(), &"storage full".into()));
    assert_eq!(files_of(t, id), Vec::<String>::new());
    t.get(&format!("/export/download/{id}"), Some(driver)).await.problem(409, "export_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn export_on_a_full_disk_fails_cleanly() {
    testkit::together(async |engine| {
        let disk = Disk::mount();
        let folder = disk.0.path().display().to_string();
        let t = TestApp::start_with(engine, &[("UPLOAD_FOLDER", &folder)]).await;
        let (large, small) = (driver_with(&t, 30_000).await, t.driver("Asha").await);
        let _worker = t.work();
        let id = request_export(&t, &large).await;
        assert_export_failed(&t, &large, id).await;
        let id = request_export(&t, &small).await;
        reaches(&t, id, "succeeded").await;
        assert!(file_of(&t, id).is_file());
        // Some 5,000 rows, which are larger than the disk before they are compressed.
        let workbook = json!({ "format": "xlsx", "to": "2023-11-18T09:33:20Z" });
        let id = request_export_with(&t, &large, workbook.clone()).await;
        assert_export_failed(&t, &large, id).await;
        let id = request_export_with(&t, &small, workbook.clone()).await;
        reaches(&t, id, "succeeded").await;
        disk.grow();
        let id = request_export_with(&t, &large, workbook).await;
        reaches(&t, id, "succeeded").await;
        let id = request_export(&t, &large).await;
        reaches(&t, id, "succeeded").await;
        assert!(file_of(&t, id).metadata().unwrap().len() > 1 << 20);
    })
    .await;
}
