//! The disk is full: first the one with the exports, then the one with SQLite's file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bench::{
    report::{Goal, Report},
    testbed::check_integrity,
};
use serde_json::{Value, json};
use shared::platform::db::Engine;

use super::testbed::{Testbed, User};
use crate::{client::Client, fixtures};

/// Size of the disk in MiB.
const SIZE: usize = 8;
const RECOVERY: Duration = Duration::from_secs(5);

/// A small disk in memory, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let options = format!("size={SIZE}m,mode=777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "parkade"]).arg(&folder);
        let mounted = mount.status().context("cannot run mount")?;
        ensure!(mounted.success(), "mounting a small disk failed; run this as root");
        Ok(Self(folder))
    }

    /// Fills the disk, except for this many bytes.
    fn fill(&self, free: usize) -> Result<()> {
        let used: u64 =
            fs::read_dir(&self.0)?.map(|file| Ok(file?.metadata()?.len())).sum::<Result<u64>>()?;
        let mut left = (SIZE << 20).saturating_sub(usize::try_from(used)?).saturating_sub(free);
        while left > 0 && fs::write(self.filler(), vec![1; left]).is_err() {
            left = left.saturating_sub(4096);
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// The number of files with this extension.
    fn files(&self, extension: &str) -> Result<f64> {
        let names = fs::read_dir(&self.0)?.map(|file| Ok(file?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?;
        let count =
            names.iter().filter(|name| Path::new(name).extension().is_some_and(|it| it == extension)).count();
        Ok(f64::from(u32::try_from(count)?))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because processes may still have files open.
        if let Err(error) = Command::new("umount").arg("-l").arg(&self.0).status() {
            println!("{} is still mounted: {error}", self.0.display());
        }
    }
}

pub async fn run(testbed: &mut Testbed, report: &mut Report) -> Result<()> {
    exports(testbed, report).await?;
    if testbed.engine == Engine::Sqlite {
        database(testbed, report).await?;
    }
    check_integrity(&testbed.app).await
}

async fn exports(testbed: &Testbed, report: &mut Report) -> Result<()> {
    let disk = Disk::mount(testbed.path("small"))?;
    let folder = disk.0.display().to_string();
    let settings = [("UPLOAD_FOLDER", folder.as_str())];
    let (_api, address) = testbed.api(&settings).await?;
    let _worker = testbed.worker(&settings)?;
    let users = testbed.users(2).await?;
    fixtures::history(&testbed.app, users[0].id, testbed.lot).await?;
    let label = |what: &str| format!("{}: {what}", testbed.name());

    disk.fill(256 << 10)?;
    let large = export(&address, &users[0]).await?;
    let (state, error) = (&large["state"], &large["error"]);
    ensure!(state == "FAILURE" && error == "storage full", "a large export on a full disk: {large}");
    report.require(label("complete files of the failed export"), disk.files("csv")?, "", Goal::AtMost(0.0));
    report.require(label("partial files of the failed export"), disk.files("part")?, "", Goal::AtMost(0.0));
    let small = export(&address, &users[1]).await?;
    ensure!(small["state"] == "SUCCESS", "a small export on a full disk: {small}");
    for path in ["/api/health/live", "/api/health/ready", "/api/parking-lots"] {
        let status = Client::new(&address, String::new()).get(path).await.context("no response")?.0;
        ensure!(status == 200, "{path} on a full disk: status {status}");
    }
    disk.clear()?;
    let started = Instant::now();
    let large = export(&address, &users[0]).await?;
    ensure!(large["state"] == "SUCCESS", "a large export with free space again: {large}");
    report.add(label("large export with free space again"), started.elapsed().as_secs_f64(), "s", "");
    report.require(label("complete files"), disk.files("csv")?, "", Goal::AtLeast(2.0));
    report.require(label("partial files"), disk.files("part")?, "", Goal::AtMost(0.0));
    Ok(())
}

/// Requests an export and polls it until it has ended.
async fn export(address: &str, user: &User) -> Result<Value> {
    let mut client = Client::new(address, user.token.clone());
    let requested = client.post("/api/export/csv/request", &json!({}), None).await.context("no response")?;
    let id = requested.1["task_id"].as_str().with_context(|| format!("no task: {requested:?}"))?.to_owned();
    let started = Instant::now();
    loop {
        let (_, task) = client.get(&format!("/api/tasks/{id}")).await.context("no response")?;
        if task["state"] == "SUCCESS" || task["state"] == "FAILURE" {
            return Ok(task);
        }
        ensure!(started.elapsed() < Duration::from_secs(60), "the export does not end: {task}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// SQLite's file cannot grow: reads must still work, and writes must be rejected.
async fn database(testbed: &Testbed, report: &mut Report) -> Result<()> {
    let disk = Disk::mount(testbed.path("database"))?;
    let url = format!("sqlite://{}?mode=rwc", disk.0.join("parkade.db").display());
    let (_api, address) = testbed.api(&[("DATABASE_URL", &url)]).await?;
    let mut client = Client::new(&address, String::new());
    let (status, _) = register(&mut client).await?;
    ensure!(status == 201, "registering: status {status}");
    disk.fill(0)?;
    // The file may have some free pages.
    let (mut slowest, mut rejected) = (0.0_f64, 0);
    for _ in 0..200 {
        let started = Instant::now();
        let (status, response) = register(&mut client).await?;
        slowest = slowest.max(started.elapsed().as_secs_f64() * 1e3);
        let is_rejected = status == 503 && response["retry_after"] == 1;
        ensure!(is_rejected || status == 201, "a write on a full disk: status {status} {response}");
        rejected += u32::from(is_rejected);
        if rejected == 3 {
            break;
        }
        for path in ["/api/parking-lots?limit=9", "/api/health/live"] {
            let (status, response) = client.get(path).await.context("no response")?;
            ensure!(status == 200, "{path} on a full disk: status {status} {response}");
        }
    }
    let name = testbed.name();
    report.require(
        format!("{name} on a full disk: writes rejected"),
        rejected.into(),
        "",
        Goal::AtLeast(1.0),
    );
    report.require(format!("{name} on a full disk: longest write"), slowest, "ms", Goal::AtMost(3_000.0));
    disk.clear()?;
    let started = Instant::now();
    while register(&mut client).await?.0 != 201 && started.elapsed() < RECOVERY * 2 {}
    let recovered = started.elapsed().as_secs_f64();
    report.require(
        format!("{name}, free space again: writes after"),
        recovered,
        "s",
        Goal::AtMost(RECOVERY.as_secs_f64()),
    );
    Ok(())
}

async fn register(client: &mut Client) -> Result<(u16, Value)> {
    let name = &uuid::Uuid::new_v4().simple().to_string()[..8];
    let email = format!("{name}@example.com");
    let form = json!({ "username": name, "email": email, "password": "Correct-horse-1" });
    client.post("/api/auth/register", &form, None).await.context("an answer")
}
