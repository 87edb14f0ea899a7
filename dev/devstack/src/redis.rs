//! A private Redis server with an append-only file, so that it can be killed and restarted with its data.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::guard::{Guard, guarded, on_path};
use crate::port::free_port;

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running `redis-server` that ends when it is dropped.
#[derive(Debug)]
pub struct Redis {
    guard: Guard,
    port: u16,
    dir: PathBuf,
    options: Vec<String>,
    /// Removed after the server has ended; `None` if the directory belongs to the caller.
    scratch: Option<TempDir>,
}

impl Redis {
    /// Starts a server in a temporary directory and waits until it is ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with additional options, for example `["--replicaof", "127.0.0.1 6379"]`.
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let scratch = TempDir::with_prefix("devstack-redis-")?;
        let options = options.iter().map(ToString::to_string).collect();
        Self::launch(scratch.path().to_owned(), options, Some(scratch)).await
    }

    /// Starts a server in `dir`, which is created if missing and kept afterwards.
    pub async fn start_in(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Self::launch(dir.canonicalize()?, Vec::new(), None).await
    }

    async fn launch(dir: PathBuf, options: Vec<String>, scratch: Option<TempDir>) -> Result<Self> {
        let port = free_port()?;
        let guard = serve(&dir, port, &options, scratch.is_some()).await?;
        Ok(Self { guard, port, dir, options, scratch })
    }

    /// The URL of logical database `db`.
    #[must_use]
    pub fn url(&self, db: u8) -> String {
        format!("redis://127.0.0.1:{}/{db}", self.port)
    }

    /// The port on 127.0.0.1, which a restart does not change.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Kills the server with SIGKILL.
    pub async fn kill(&self) -> Result<()> {
        self.guard.kill()
    }

    /// Kills the server if it runs, and starts it again with the same port and data.
    pub async fn restart(&mut self) -> Result<()> {
        self.guard.kill()?;
        self.guard = serve(&self.dir, self.port, &self.options, self.scratch.is_some()).await?;
        Ok(())
    }

    /// Freezes the server: connections stay open, but nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.guard.pause()
    }

    /// Resumes a paused server.
    pub fn resume(&self) -> Result<()> {
        self.guard.resume()
    }

    /// Empties all databases.
    pub async fn flush_all(&self) -> Result<()> {
        self.command("FLUSHALL").await
    }

    /// Changes a setting at run time, for example `maxmemory`.
    pub async fn configure(&self, name: &str, value: &str) -> Result<()> {
        self.command(&format!("CONFIG SET {name} {value}")).await
    }

    async fn command(&self, command: &str) -> Result<()> {
        let reply = send(self.port, command).await?;
        ensure!(reply.starts_with("+OK"), "Redis answered {reply:?}");
        Ok(())
    }
}

async fn serve(dir: &Path, port: u16, options: &[String], temporary: bool) -> Result<Guard> {
    let program =
        on_path("redis-server").context("no `redis-server` in PATH: install the package `redis-server`")?;
    let mut command = guarded(&program, temporary.then_some(dir));
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(dir);
    command
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
        .args(options)
        .current_dir(dir);
    let guard = Guard::spawn(command, &dir.join("redis.log"))?;
    // The process id in the reply proves that this is not another server on the same port.
    let own = format!("process_id:{}\r", guard.pid());
    let is_ready = || async {
        let reply = send(port, "PING\r\nINFO server").await;
        reply.is_ok_and(|text| text.starts_with("+PONG") && text.contains(&own))
    };
    guard
        .ready(START_LIMIT, is_ready)
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(guard)
}

/// Sends inline commands on a new connection and returns the raw replies.
async fn send(port: u16, commands: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}
