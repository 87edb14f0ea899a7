//! Guarded processes end with their owner, and have exactly the environment they are given.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use devstack::{App, Postgres, Process, Redis};

const OWNER: &str = "DEVSTACK_TEST_OWNER";
const NO_ENVIRONMENT: &[(&str, &str)] = &[];

/// Run as a separate process by the test below, which kills it.
#[tokio::test]
#[ignore = "the owner of the next test"]
async fn owner() -> Result<()> {
    if std::env::var_os(OWNER).is_none() {
        return Ok(());
    }
    let (redis, frozen, postgres) =
        tokio::try_join!(Redis::start(), Redis::start(), Postgres::start_with(&["-c", "fsync=off"]))?;
    // A paused server must end too.
    frozen.pause()?;
    let pids = [redis.pid(), frozen.pid(), postgres.pid()].map(|pid| pid.to_string());
    writeln!(std::io::stdout(), "\nstarted {}", pids.join(" "))?;
    tokio::time::sleep(Duration::from_secs(120)).await;
    Ok(())
}

#[test]
fn servers_end_when_their_owner_is_killed() -> Result<()> {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "owner", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(owner.stdout.take().context("no output")?);
    let mut lines = output.lines().map_while(Result::ok);
    let started = lines.find_map(|line| line.strip_prefix("started ").map(str::to_owned));
    let started = started.context("the owner started nothing")?;
    let pids: Vec<u32> = started.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    assert_eq!(pids.len(), 3);
    let dirs = pids.iter().map(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")));
    let dirs = dirs.collect::<Result<Vec<_>, _>>()?;
    // The servers and, for PostgreSQL, its background processes.
    let everything: Vec<u32> = all_processes().into_iter().filter(|pid| works_in(*pid, &dirs)).collect();
    assert!(everything.len() > pids.len(), "{everything:?}");
    assert!(pids.iter().all(|pid| alive(*pid) && dirs.iter().all(|dir| dir.exists())));

    owner.kill()?;
    owner.wait()?;

    eventually("the servers end", || !everything.iter().any(|pid| alive(*pid) && works_in(*pid, &dirs)))?;
    eventually("their files are removed", || !dirs.iter().any(|dir| dir.exists()))
}

fn eventually(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        ensure!(Instant::now() < deadline, "{what}: not within 10 s");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn all_processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the working directory of a process is in one of these directories.
fn works_in(pid: u32, dirs: &[std::path::PathBuf]) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd"))
        .is_ok_and(|cwd| dirs.iter().any(|dir| cwd.starts_with(dir)))
}

/// Whether a process exists and is not merely waiting to be reaped.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn shell(script: &str, environment: &[(&str, &str)], dir: &Path) -> Result<Process> {
    App::spawn(Path::new("/bin/sh"), ["-c", script], environment, dir, &dir.join("app.log"))
}

#[tokio::test]
async fn an_app_sees_only_the_given_environment() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let app = App::spawn(
        Path::new("/usr/bin/env"),
        [""; 0],
        &[("PARKADE_PORT", "18080")],
        dir.path(),
        &dir.path().join("app.log"),
    )?;
    assert_eq!(app.wait(Duration::from_secs(5)).await?, Some(0));
    let log = app.log();
    let mut names: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "PARKADE_PORT", "PATH"]);
    assert!(log.contains("PARKADE_PORT=18080\n"), "{log}");
    Ok(())
}

#[tokio::test]
async fn an_app_handles_sigterm_and_returns_its_exit_code() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let polite = "trap 'echo bye; exit 7' TERM; pwd; echo ready >&2; while :; do sleep 0.05; done";
    let app = shell(polite, NO_ENVIRONMENT, dir.path())?;
    eventually("it is ready", || app.log().contains("ready"))?;
    assert!(app.log().starts_with(&dir.path().display().to_string()), "{}", app.log());

    let memory = app.memory()?;
    assert!(memory.rss_bytes > 100_000 && memory.peak_bytes >= memory.rss_bytes, "{memory:?}");
    let error = app.wait(Duration::from_millis(50)).await.err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.contains("still runs")));

    // A paused process handles the signal when it is resumed.
    app.pause()?;
    app.terminate()?;
    assert!(app.wait(Duration::from_millis(200)).await.is_err());
    app.resume()?;
    assert_eq!(app.wait(Duration::from_secs(5)).await?, Some(7));
    assert!(app.log().ends_with("bye\n"));
    assert!(app.terminate().is_err(), "a signal was sent to an id that may have been reused");
    assert!(app.memory().is_err());
    Ok(())
}

#[tokio::test]
async fn a_killed_app_has_no_exit_code() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let app = shell("exec sleep 60", NO_ENVIRONMENT, dir.path())?;
    app.kill()?;
    assert_eq!(app.wait(Duration::ZERO).await?, None);
    app.kill()?;
    let missing =
        App::spawn(&dir.path().join("none"), [""; 0], NO_ENVIRONMENT, dir.path(), &dir.path().join("log"));
    assert!(missing.is_err());
    Ok(())
}
