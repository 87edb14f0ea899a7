//! A private PostgreSQL server. If this process is root, the server runs as another user, because PostgreSQL refuses root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::guard::{Guard, guarded, on_path};
use crate::port::free_port;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Debian installs the server here, in one directory per version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A running `postgres` without passwords on 127.0.0.1, which ends when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    guard: Guard,
    cluster: Cluster,
}

/// What a restart does not change.
#[derive(Debug)]
struct Cluster {
    tools: PathBuf,
    port: u16,
    options: Vec<String>,
    /// User and group of the server if this process is root.
    user: Option<(u32, u32)>,
    scratch: TempDir,
}

impl Postgres {
    /// Starts a server with `fsync` on and 200 connections, and waits until it is ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with additional options, for example `["-c", "fsync=off"]`, which override the defaults.
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let cluster = Cluster::new(options)?;
        cluster.init().await.context("cannot create a PostgreSQL cluster")?;
        let guard = cluster.serve().await?;
        Ok(Self { guard, cluster })
    }

    /// Starts a standby of this server, on which every commit waits from then on.
    pub async fn start_standby(&self) -> Result<Self> {
        let cluster = Cluster::new(&[])?;
        cluster.copy(self.port()).await.context("cannot copy the PostgreSQL cluster")?;
        let standby = Self { guard: cluster.serve().await?, cluster };
        self.query("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'").await?;
        self.query("postgres", "SELECT pg_reload_conf()").await?;
        let deadline = Instant::now() + START_LIMIT;
        while self.query("postgres", "SELECT sync_state FROM pg_stat_replication").await? != "sync" {
            ensure!(Instant::now() < deadline, "the standby does not follow{}", standby.guard.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(standby)
    }

    /// Makes a standby a primary that waits for no standby, and returns when it can be written to.
    pub async fn promote(&self) -> Result<()> {
        self.query("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''").await?;
        self.query("postgres", "SELECT pg_reload_conf()").await?;
        let is_promoted = self.query("postgres", "SELECT pg_promote()").await?;
        ensure!(is_promoted == "t", "the standby is not promoted{}", self.guard.tail());
        Ok(())
    }

    /// Creates an empty database, replacing one of this name, and returns its URL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        self.query("postgres", &format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await?;
        self.query("postgres", &format!("CREATE DATABASE {quoted}")).await?;
        Ok(self.url(name))
    }

    /// Runs SQL with `psql` and returns a line per row, with `|` between the columns.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = tokio::process::Command::new(self.bin("psql"));
        // Cleared because of variables such as `PGOPTIONS` and `PGSERVICE`.
        command.env_clear().kill_on_drop(true);
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", &self.url(database)]);
        let output = command.output().await.context("cannot run psql")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.cluster.port)
    }

    /// The port on 127.0.0.1, which a restart does not change.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    /// The process id of the postmaster.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// A program of the same version as the server, for example `pgbench`.
    #[must_use]
    pub fn bin(&self, name: &str) -> PathBuf {
        self.cluster.tools.join(name)
    }

    /// Kills the server and its backends with SIGKILL.
    pub async fn kill(&self) -> Result<()> {
        self.crash()
    }

    /// Kills the server if it runs, and starts it again with the same port and data.
    pub async fn restart(&mut self) -> Result<()> {
        self.crash()?;
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match self.cluster.serve().await {
                Ok(guard) => {
                    self.guard = guard;
                    return Ok(());
                }
                // A killed backend may take a moment to end.
                Err(error) if Instant::now() < deadline && format!("{error:#}").contains("still in use") => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Freezes the server and its backends: connections stay open, but nothing is answered.
    pub fn pause(&self) -> Result<()> {
        // The postmaster first: it must not start a backend after they were listed.
        self.guard.pause()?;
        self.guard.signal("STOP", &backends(self.pid()))
    }

    /// Resumes a paused server.
    pub fn resume(&self) -> Result<()> {
        self.guard.signal("CONT", &backends(self.pid()))
    }

    fn crash(&self) -> Result<()> {
        if self.pause().is_ok() {
            self.guard.signal("KILL", &backends(self.pid()))?;
        }
        self.guard.kill()
    }
}

impl Drop for Postgres {
    /// Shuts down immediately instead of killing the server, which would leave its shared memory behind.
    fn drop(&mut self) {
        if self.resume().is_ok() {
            self.guard.stop("QUIT", STOP_LIMIT);
        }
    }
}

impl Cluster {
    fn new(options: &[&str]) -> Result<Self> {
        let cluster = Self {
            tools: tools()?,
            port: free_port()?,
            options: options.iter().map(ToString::to_string).collect(),
            user: unprivileged()?,
            scratch: TempDir::with_prefix("devstack-postgres-")?,
        };
        if let Some((user, group)) = cluster.user {
            chown(cluster.dir(), Some(user), Some(group))?;
        }
        Ok(cluster)
    }

    fn dir(&self) -> &Path {
        self.scratch.path()
    }

    fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    async fn init(&self) -> Result<()> {
        let mut command = self.command("initdb");
        command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let initdb = Guard::spawn(command, &self.dir().join("initdb.log"))?;
        let code = initdb.wait(START_LIMIT).await?;
        ensure!(code == Some(0), "initdb failed{}", initdb.tail());
        Ok(())
    }

    /// Copies the data of a running server, with the settings of a standby.
    async fn copy(&self, primary: u16) -> Result<()> {
        let mut command = self.command("pg_basebackup");
        command.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"]);
        command.arg(format!("postgres://postgres@127.0.0.1:{primary}/postgres"));
        let copying = Guard::spawn(command, &self.dir().join("pg_basebackup.log"))?;
        let code = copying.wait(START_LIMIT).await?;
        ensure!(code == Some(0), "pg_basebackup failed{}", copying.tail());
        Ok(())
    }

    async fn serve(&self) -> Result<Guard> {
        let mut command = self.command("postgres");
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c"]);
        command.arg(format!("unix_socket_directories={}", self.dir().display()));
        // mmap: shared memory for parallel queries is removed with the data directory.
        command.args(["-c", "max_connections=200", "-c", "dynamic_shared_memory_type=mmap"]);
        command.args(&self.options);
        let guard = Guard::spawn(command, &self.dir().join("postgres.log"))?;
        let lock = self.data().join("postmaster.pid");
        let ready = || async { fs::read_to_string(&lock).is_ok_and(|text| is_ready(&text, guard.pid())) };
        guard.ready(START_LIMIT, ready).await.context("cannot start PostgreSQL")?;
        Ok(guard)
    }

    /// A server program for the data directory, run as the right user.
    fn command(&self, program: &str) -> Command {
        let mut command = guarded(&self.tools.join(program), Some(self.dir()));
        command.current_dir(self.dir()).arg("-D").arg(self.data());
        if let Some((user, group)) = self.user {
            // The standard library also drops the supplementary groups.
            command.uid(user).gid(group);
        }
        command
    }
}

/// Whether `postmaster.pid` belongs to this server (first line), which accepts connections (eighth line).
fn is_ready(lock: &str, pid: u32) -> bool {
    let mut lines = lock.lines();
    lines.next() == Some(&pid.to_string()) && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

/// The directory with the server's programs: in `PATH`, or the newest of Debian's.
fn tools() -> Result<PathBuf> {
    let from_path = on_path("initdb").and_then(|link| Some(link.canonicalize().ok()?.parent()?.to_owned()));
    let from_debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut from_debian: Vec<(u32, PathBuf)> = from_debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    from_debian.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    from_path
        .into_iter()
        .chain(from_debian.into_iter().map(|(_, dir)| dir))
        .find(|dir| ["initdb", "postgres", "psql"].iter().all(|tool| dir.join(tool).is_file()))
        .with_context(|| format!("no PostgreSQL in PATH or {DEBIAN}: install the package `postgresql`"))
}

/// The user and group for the server if this process is root: `postgres`, or else `nobody`.
pub(crate) fn unprivileged() -> Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let fields: Vec<&str> =
            users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    found.map(Some).context("PostgreSQL refuses root, and there is neither a user `postgres` nor `nobody`")
}

/// The processes that the server has started. Each leads its own process group, unlike the guard's watcher, which must
/// never be paused.
fn backends(server: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|pid| is_backend(*pid, server).unwrap_or(false)).collect()
}

fn is_backend(pid: u32, server: u32) -> Option<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(1).map_while(|field| field.parse::<u32>().ok());
    Some(fields.next()? == server && fields.next()? != server)
}
