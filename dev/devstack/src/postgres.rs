//! A private PostgreSQL server; as root it runs as an unprivileged user, because PostgreSQL refuses root.

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
/// Where Debian puts the server, one directory a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A running `postgres` with trust authentication on 127.0.0.1, ended when dropped.
#[derive(Debug)]
pub struct Postgres {
    guard: Guard,
    cluster: Cluster,
}

/// What stays the same from one start of the server to the next.
#[derive(Debug)]
struct Cluster {
    tools: PathBuf,
    port: u16,
    options: Vec<String>,
    /// User and group to run as, when this process is root.
    user: Option<(u32, u32)>,
    scratch: TempDir,
}

impl Postgres {
    /// Starts a server with `fsync` on and 200 connections, and waits until it takes connections.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with more options, such as `["-c", "fsync=off"]`; they win over the usual ones.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not start.
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let cluster = Cluster {
            tools: tools()?,
            port: free_port()?,
            options: options.iter().map(ToString::to_string).collect(),
            user: unprivileged()?,
            scratch: TempDir::with_prefix("devstack-postgres-")?,
        };
        if let Some((user, group)) = cluster.user {
            chown(cluster.dir(), Some(user), Some(group))?;
        }
        cluster.init().await.context("cannot make a PostgreSQL cluster")?;
        let guard = cluster.serve().await?;
        Ok(Self { guard, cluster })
    }

    /// Makes an empty database, dropping one of that name first, and returns its URL.
    ///
    /// # Errors
    /// When the server refuses or is down.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        self.query("postgres", &format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await?;
        self.query("postgres", &format!("CREATE DATABASE {quoted}")).await?;
        Ok(self.url(name))
    }

    /// Runs SQL through `psql` and returns the rows: a line each, columns separated by `|`.
    ///
    /// # Errors
    /// When a statement fails or the server is down.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = tokio::process::Command::new(self.bin("psql"));
        // Cleared, so that no `PGOPTIONS` or `PGSERVICE` of the developer's has a say.
        command.env_clear().kill_on_drop(true);
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", &self.url(database)]);
        let output = command.output().await.context("cannot run psql")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The address of a database, as clients and the configuration take it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.cluster.port)
    }

    /// The port on 127.0.0.1, the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    /// The id of the server's main process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// A tool of the same version as the server, such as `pgbench` or `psql`.
    #[must_use]
    pub fn bin(&self, name: &str) -> PathBuf {
        self.cluster.tools.join(name)
    }

    /// Kills the server and its backends with SIGKILL, as a crash of the machine would.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn kill(&self) -> Result<()> {
        self.crash()
    }

    /// Starts the server again on the same port and data, killing it first when it still runs.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.crash()?;
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match self.cluster.serve().await {
                Ok(guard) => {
                    self.guard = guard;
                    return Ok(());
                }
                // A killed backend may take a moment to go.
                Err(error) if Instant::now() < deadline && format!("{error:#}").contains("still in use") => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Freezes the server and its backends: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn pause(&self) -> Result<()> {
        // The main process first: it must not start a backend that is missing from the list.
        self.guard.pause()?;
        self.guard.signal("STOP", &backends(self.pid()))
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When the server has ended.
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
    /// An immediate shutdown, because a killed server leaves its shared memory behind.
    fn drop(&mut self) {
        if self.resume().is_ok() {
            self.guard.stop("QUIT", STOP_LIMIT);
        }
    }
}

impl Cluster {
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

    async fn serve(&self) -> Result<Guard> {
        let mut command = self.command("postgres");
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c"]);
        command.arg(format!("unix_socket_directories={}", self.dir().display()));
        // Shared memory for parallel queries in files of the data directory: none of it outlives the directory.
        command.args(["-c", "max_connections=200", "-c", "dynamic_shared_memory_type=mmap"]);
        command.args(&self.options);
        let guard = Guard::spawn(command, &self.dir().join("postgres.log"))?;
        let lock = self.data().join("postmaster.pid");
        let ready = || async { fs::read_to_string(&lock).is_ok_and(|text| is_ready(&text, guard.pid())) };
        guard.ready(START_LIMIT, ready).await.context("cannot start PostgreSQL")?;
        Ok(guard)
    }

    /// A server program on the data directory, as the right user.
    fn command(&self, program: &str) -> Command {
        let mut command = guarded(&self.tools.join(program), Some(self.dir()));
        command.current_dir(self.dir()).arg("-D").arg(self.data());
        if let Some((user, group)) = self.user {
            // The standard library drops the supplementary groups along with root.
            command.uid(user).gid(group);
        }
        command
    }
}

/// Whether `postmaster.pid` is of this server (first line) and says that it takes connections (eighth line).
fn is_ready(lock: &str, pid: u32) -> bool {
    let mut lines = lock.lines();
    lines.next() == Some(&pid.to_string()) && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

/// The directory with the server's programs: from `PATH`, or the newest of Debian's.
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

/// The user and group for the server when this process is root: `postgres`, else `nobody`.
fn unprivileged() -> Result<Option<(u32, u32)>> {
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

/// The processes a PostgreSQL server has started. Each leads a group of its own, unlike the guard's watcher,
/// which has the server's and must never be paused.
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
