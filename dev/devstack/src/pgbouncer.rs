//! A private PgBouncer in transaction mode, in front of a private PostgreSQL server.

use std::{net::Ipv4Addr, os::unix::fs::chown, os::unix::process::CommandExt, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    Postgres,
    guard::{Guard, guarded, on_path},
    port::free_port,
    postgres::unprivileged,
};

const START_LIMIT: Duration = Duration::from_secs(20);

/// Debian installs it outside the `PATH` of ordinary users.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// A running `pgbouncer` for all databases of a server, which ends when it is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    guard: Guard,
    _scratch: TempDir,
}

impl PgBouncer {
    /// Whether the program is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        program().is_some()
    }

    /// Starts in front of `server` with this many connections to each database, and more lines for its configuration.
    pub async fn start(server: &Postgres, connections: u16, more: &[&str]) -> Result<Self> {
        let (scratch, port) = (TempDir::with_prefix("devstack-pgbouncer-")?, free_port()?);
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 2000\n\
             default_pool_size = {connections}\nserver_idle_timeout = 5\n{more}\n",
            server = server.port(),
            more = more.join("\n"),
        );
        let file = scratch.path().join("pgbouncer.ini");
        std::fs::write(&file, config)?;
        let program = program().context("no `pgbouncer`: install the package `pgbouncer`")?;
        let mut command = guarded(&program, Some(scratch.path()));
        command.arg(&file).current_dir(scratch.path());
        if let Some((user, group)) = unprivileged()? {
            chown(scratch.path(), Some(user), Some(group))?;
            command.uid(user).gid(group);
        }
        let guard = Guard::spawn(command, &scratch.path().join("pgbouncer.log"))?;
        let is_ready = || async { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() };
        guard.ready(START_LIMIT, is_ready).await.context("cannot start PgBouncer")?;
        Ok(Self { port, guard, _scratch: scratch })
    }

    /// The URL of a database, through this.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The output so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.guard.log()
    }
}

fn program() -> Option<PathBuf> {
    on_path("pgbouncer").or_else(|| Some(PathBuf::from(DEBIAN)).filter(|file| file.is_file()))
}
