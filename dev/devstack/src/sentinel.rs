//! A Redis Sentinel, which promotes a replica when the master fails.

use std::{io, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Redis,
    guard::{Guard, guarded, on_path},
    port::free_port,
};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A reply is complete when nothing more arrives for this long.
const REPLY_GAP: Duration = Duration::from_millis(200);

/// A running Sentinel with a quorum of one, which ends when it is dropped.
#[derive(Debug)]
pub struct Sentinel {
    port: u16,
    _guard: Guard,
    _scratch: TempDir,
}

impl Sentinel {
    /// Watches `master` under this name, and considers it down after half a second without a reply.
    pub async fn of(master: &Redis, service: &str) -> Result<Self> {
        Self::with(master, service, &[]).await
    }

    /// The same with additional lines in its configuration, for example `requirepass`.
    pub async fn with(master: &Redis, service: &str, lines: &[String]) -> Result<Self> {
        let (scratch, port) = (TempDir::with_prefix("devstack-sentinel-")?, free_port()?);
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {dir}\nsentinel monitor {service} 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds {service} 500\nsentinel failover-timeout {service} 5000\n{more}\n",
            more = lines.join("\n"),
            dir = scratch.path().display(),
            master = master.port(),
        );
        // The Sentinel rewrites its configuration file.
        let file = scratch.path().join("sentinel.conf");
        std::fs::write(&file, config)?;
        let program = on_path("redis-server").context("no `redis-server` in PATH")?;
        let mut command = guarded(&program, Some(scratch.path()));
        command.arg(&file).arg("--sentinel").current_dir(scratch.path());
        let guard = Guard::spawn(command, &scratch.path().join("sentinel.log"))?;
        let is_ready = || async {
            send(port, "PING")
                .await
                .is_ok_and(|reply| reply.starts_with("+PONG") || reply.starts_with("-NOAUTH"))
        };
        guard.ready(START_LIMIT, is_ready).await.context("cannot start a Sentinel")?;
        Ok(Self { port, _guard: guard, _scratch: scratch })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of connected replicas that it has found.
    pub async fn replicas(&self, service: &str) -> Result<usize> {
        let reply = send(self.port, &format!("SENTINEL REPLICAS {service}")).await?;
        Ok(reply.matches("master-link-status\r\n$2\r\nok").count())
    }
}

/// Sends an inline command on a new connection and returns the raw reply. A Sentinel does not know QUIT.
async fn send(port: u16, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut reply = Vec::new();
    while let Ok(read) = tokio::time::timeout(REPLY_GAP, stream.read_buf(&mut reply)).await {
        if read? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
