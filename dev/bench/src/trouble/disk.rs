//! The disk is full while exports are written, and the one that SQLite's file is on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::platform::db::Engine;

use super::ground::{Ground, Person};
use crate::{
    people::{self, Client},
    report::{Goal, Report},
};

/// How large the disk is, and how much of that is taken when it is full, in MiB.
const SIZE: usize = 8;
const BACK: Duration = Duration::from_secs(5);

/// A small disk in memory; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let options = format!("size={SIZE}m,mode=777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "parkade"]).arg(&folder);
        let mounted = mount.status().context("cannot run mount")?;
        ensure!(mounted.success(), "a small disk cannot be mounted: this needs to run as root");
        Ok(Self(folder))
    }

    /// Takes all space but so many bytes.
    fn fill(&self, but: usize) -> Result<()> {
        let used: u64 =
            fs::read_dir(&self.0)?.map(|file| Ok(file?.metadata()?.len())).sum::<Result<u64>>()?;
        let mut left = (SIZE << 20).saturating_sub(usize::try_from(used)?).saturating_sub(but);
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

    /// How many files of exports there are, whole or not.
    fn files(&self, ending: &str) -> Result<f64> {
        let names = fs::read_dir(&self.0)?.map(|file| Ok(file?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?;
        let these = names.iter().filter(|name| Path::new(name).extension().is_some_and(|is| is == ending));
        Ok(f64::from(u32::try_from(these.count())?))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Processes may still have files open there.
        if let Err(error) = Command::new("umount").arg("-l").arg(&self.0).status() {
            println!("{} is still mounted: {error}", self.0.display());
        }
    }
}

/// Lets it happen and takes the figures.
pub async fn run(ground: &mut Ground, report: &mut Report) -> Result<()> {
    exports(ground, report).await?;
    if ground.engine == Engine::Sqlite {
        database(ground, report).await?;
    }
    crate::stage::is_sound(&ground.app).await
}

async fn exports(ground: &Ground, report: &mut Report) -> Result<()> {
    let disk = Disk::mount(ground.path("small"))?;
    let folder = disk.0.display().to_string();
    let settings = [("UPLOAD_FOLDER", folder.as_str())];
    let (_api, address) = ground.api(&settings).await?;
    let _worker = ground.worker(&settings)?;
    let people = ground.people(2).await?;
    people::history(&ground.app, people[0].id, ground.lot).await?;
    let label = |what: &str| format!("{}: {what}", ground.name());

    disk.fill(256 << 10)?;
    let large = export(&address, &people[0]).await?;
    let (state, error) = (&large["state"], &large["error"]);
    ensure!(state == "FAILURE" && error == "storage full", "the large export on a full disk: {large}");
    report.must(label("files of it, whole"), disk.files("csv")?, "", Goal::AtMost(0.0));
    report.must(label("files of it, in part"), disk.files("part")?, "", Goal::AtMost(0.0));
    let small = export(&address, &people[1]).await?;
    ensure!(small["state"] == "SUCCESS", "a small export that has room: {small}");
    for path in ["/api/health/live", "/api/health/ready", "/api/parking-lots"] {
        let status = Client::new(&address, String::new()).get(path).await.context("an answer")?.0;
        ensure!(status == 200, "{path} on a full disk: {status}");
    }
    disk.clear()?;
    let begun = Instant::now();
    let large = export(&address, &people[0]).await?;
    ensure!(large["state"] == "SUCCESS", "the large export when there is room again: {large}");
    report.add(label("with room again, the large export took"), begun.elapsed().as_secs_f64(), "s", "");
    report.must(label("files"), disk.files("csv")?, "", Goal::AtLeast(2.0));
    report.must(label("files in part"), disk.files("part")?, "", Goal::AtMost(0.0));
    Ok(())
}

/// Asks for an export and follows it to its end.
async fn export(address: &str, person: &Person) -> Result<Value> {
    let mut client = Client::new(address, person.token.clone());
    let asked = client.post("/api/export/csv/request", &json!({}), None).await.context("an answer")?;
    let id = asked.1["task_id"].as_str().with_context(|| format!("a task: {asked:?}"))?.to_owned();
    let begun = Instant::now();
    loop {
        let (_, task) = client.get(&format!("/api/tasks/{id}")).await.context("an answer")?;
        if task["state"] == "SUCCESS" || task["state"] == "FAILURE" {
            return Ok(task);
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "the export does not end: {task}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The file of the database cannot grow: what is there can be read.
async fn database(ground: &Ground, report: &mut Report) -> Result<()> {
    let disk = Disk::mount(ground.path("database"))?;
    let url = format!("sqlite://{}?mode=rwc", disk.0.join("parkade.db").display());
    let (_api, address) = ground.api(&[("DATABASE_URL", &url)]).await?;
    let mut client = Client::new(&address, String::new());
    let (status, _) = register(&mut client).await?;
    ensure!(status == 201, "registering: {status}");
    disk.fill(0)?;
    // Some writes may fit into what the file has already.
    let (mut slowest, mut refused) = (0.0_f64, 0);
    for _ in 0..200 {
        let begun = Instant::now();
        let (status, answer) = register(&mut client).await?;
        slowest = slowest.max(begun.elapsed().as_secs_f64() * 1e3);
        let is_refused = status == 503 && answer["retry_after"] == 1;
        ensure!(is_refused || status == 201, "a write on a full disk: {status} {answer}");
        refused += u32::from(is_refused);
        if refused == 3 {
            break;
        }
        for path in ["/api/parking-lots?limit=9", "/api/health/live"] {
            let (status, answer) = client.get(path).await.context("an answer")?;
            ensure!(status == 200, "{path} on a full disk: {status} {answer}");
        }
    }
    let name = ground.name();
    report.must(format!("{name}, no room for it: writes refused"), refused.into(), "", Goal::AtLeast(1.0));
    report.must(format!("{name}, no room for it: longest write"), slowest, "ms", Goal::AtMost(3_000.0));
    disk.clear()?;
    let begun = Instant::now();
    while register(&mut client).await?.0 != 201 && begun.elapsed() < BACK * 2 {}
    let back = begun.elapsed().as_secs_f64();
    report.must(format!("{name}, room again: writes after"), back, "s", Goal::AtMost(BACK.as_secs_f64()));
    Ok(())
}

async fn register(client: &mut Client) -> Result<(u16, Value)> {
    let email = format!("{}@example.com", uuid::Uuid::new_v4().simple());
    let form = json!({ "username": email, "email": email, "password": "Correct-horse-1" });
    client.post("/api/auth/register", &form, None).await.context("an answer")
}
