//! A system under test: its processes, its own PostgreSQL and Redis, and a mail server.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use bench::{
    http::{Connection, request},
    testbed::{Testbed, listening},
};
use devstack::{App as Programs, Postgres, Process, Redis};
use serde_json::{Value, json};
use shared::platform::db::Engine;
use tempfile::TempDir;

use super::{
    data::{self, DATABASE},
    sink::Sink,
    usage,
};
use crate::api::PASSWORD;

/// How long a process may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Uvicorn's worker processes: one for each core.
fn web_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Either of the two systems. Their paths and bodies are alike where both have them.
pub struct System {
    pub name: &'static str,
    pub address: String,
    pub sink: Sink,
    api: Process,
    worker: Option<Process>,
    backend: Backend,
}

/// What differs between the two.
enum Backend {
    Ours(Box<Testbed>),
    Peer(Box<Peer>),
}

/// The files and servers of the peer.
struct Peer {
    python: String,
    settings: Vec<(String, String)>,
    postgres: Postgres,
    redis: Redis,
    folder: TempDir,
}

impl System {
    /// Starts Parkade's API on this database, without limits on mails.
    pub async fn ours(testbed: Testbed) -> Result<Self> {
        let sink = Sink::start().await?;
        let (api, address) = testbed.api_with(&borrowed(&mail_settings(&sink))).await?;
        let backend = Backend::Ours(Box::new(testbed));
        Ok(Self { name: "Parkade", address, sink, api, worker: None, backend })
    }

    /// Starts the peer's API on a copy of the rows of `ours`.
    pub async fn peer(ours: &Postgres, python: &Path) -> Result<Self> {
        let (sink, folder) = (Sink::start().await?, tempfile::tempdir()?);
        let (postgres, redis) = (Postgres::start().await?, Redis::start().await?);
        let url = postgres.create_database(DATABASE).await?;
        postgres.query(DATABASE, include_str!("../../peer/schema.sql")).await?;
        data::copy(ours, &postgres).await?;
        let mut settings = mail_settings(&sink);
        settings.extend([
            ("DATABASE_URL".to_owned(), url),
            ("REDIS_URL".to_owned(), redis.url(0)),
            ("JWT_SECRET_KEY".to_owned(), uuid::Uuid::new_v4().to_string()),
            ("PYTHONPATH".to_owned(), concat!(env!("CARGO_MANIFEST_DIR"), "/peer").to_owned()),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ]);
        let python = python.to_str().context("the path of Python is not UTF-8")?.to_owned();
        let peer = Peer { python, settings, postgres, redis, folder };
        let port = devstack::free_port()?;
        let arguments = format!(
            "-m uvicorn peer.main:app --port {port} --workers {} --loop uvloop --http httptools --no-access-log",
            web_workers()
        );
        let (api, address) = (peer.spawn(&arguments)?, format!("127.0.0.1:{port}"));
        listening(&api, &address).await?;
        Ok(Self { name: "peer", address, sink, api, worker: None, backend: Backend::Peer(Box::new(peer)) })
    }

    /// Starts the process that sends mails and writes exports.
    pub fn start_worker(&mut self) -> Result<()> {
        let worker = match &self.backend {
            Backend::Ours(testbed) => testbed.worker_with(&borrowed(&mail_settings(&self.sink)))?,
            Backend::Peer(peer) => peer.spawn("-m peer.mail_worker")?,
        };
        self.worker = Some(worker);
        Ok(())
    }

    pub async fn stop_worker(&mut self) -> Result<()> {
        if let Some(worker) = self.worker.take() {
            worker.terminate()?;
            worker.wait(STOP_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Jobs that have not ended.
    pub async fn pending(&self) -> Result<u64> {
        let text = match &self.backend {
            Backend::Ours(testbed) => {
                let text = "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running')";
                postgres_of(testbed)?.query(DATABASE, text).await?
            }
            Backend::Peer(peer) => {
                let client = redis::Client::open(peer.redis.url(0))?;
                let mut redis = client.get_multiplexed_async_connection().await?;
                redis::cmd("LLEN").arg("mails").query_async::<u64>(&mut redis).await?.to_string()
            }
        };
        text.parse().context("not a number of jobs")
    }

    /// The roots of its processes; with those of PostgreSQL and Redis if wanted.
    fn roots(&self, with_databases: bool) -> Result<Vec<u32>> {
        let mut pids = vec![self.api.pid()];
        pids.extend(self.worker.as_ref().map(|worker| worker.pid()));
        if with_databases {
            pids.extend(match &self.backend {
                Backend::Ours(testbed) => [postgres_of(testbed)?.pid(), testbed.redis.pid()],
                Backend::Peer(peer) => [peer.postgres.pid(), peer.redis.pid()],
            });
        }
        Ok(pids)
    }

    /// Processor time of all its processes and databases.
    pub fn processor_time(&self) -> Result<Duration> {
        Ok(usage::processor_time(&usage::family(&self.roots(true)?)))
    }

    /// The processes whose memory is compared, without the databases.
    pub fn memory_roots(&self) -> Result<Vec<u32>> {
        self.roots(false)
    }

    /// Logs a user in and returns the token.
    pub async fn log_in(&self, user: i64) -> Result<String> {
        let mut connection = Connection::open(&self.address).await?;
        let answer = send(&mut connection, &self.login(user), 200).await?;
        Ok(answer["token"].as_str().context("an answer without a token")?.to_owned())
    }

    /// The request with which a user logs in.
    pub fn login(&self, user: i64) -> Vec<u8> {
        let body = json!({ "email": data::email(user), "password": PASSWORD }).to_string();
        request(&self.address, "POST", "/api/auth/login", "", &body)
    }

    /// A request with a token.
    pub fn request(&self, method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
        request(&self.address, method, path, &format!("authorization: Bearer {token}\r\n"), body)
    }

    /// The testbed of Parkade.
    pub fn testbed(&self) -> Option<&Testbed> {
        match &self.backend {
            Backend::Ours(testbed) => Some(testbed),
            Backend::Peer(_) => None,
        }
    }

    pub const fn is_ours(&self) -> bool {
        matches!(self.backend, Backend::Ours(_))
    }

    /// Fails if a process has ended or, in Parkade's case, if the data violates a rule.
    pub async fn check(&self) -> Result<()> {
        for process in [Some(&self.api), self.worker.as_ref()].into_iter().flatten() {
            ensure!(process.memory().is_ok(), "a process of {} has ended:\n{}", self.name, process.log());
        }
        match &self.backend {
            Backend::Ours(testbed) => testbed.check_integrity().await,
            Backend::Peer(_) => Ok(()),
        }
    }
}

impl Peer {
    /// Runs Python with these arguments. `env` starts it, because an environment is recognised by the path of the program.
    fn spawn(&self, arguments: &str) -> Result<Process> {
        let arguments = std::iter::once(self.python.as_str()).chain(arguments.split(' '));
        let log = self.folder.path().join("peer.log");
        Programs::spawn(Path::new("/usr/bin/env"), arguments, &self.settings, self.folder.path(), &log)
    }
}

fn postgres_of(testbed: &Testbed) -> Result<&Postgres> {
    ensure!(testbed.engine == Engine::Postgres, "the peer runs on PostgreSQL only");
    testbed.postgres.as_ref().context("PostgreSQL is not running")
}

fn mail_settings(sink: &Sink) -> Vec<(String, String)> {
    [
        ("MAIL_SERVER", sink.address.ip().to_string()),
        ("MAIL_PORT", sink.address.port().to_string()),
        ("MAIL_USE_TLS", "false".to_owned()),
        // The largest limit: as good as none.
        ("MAX_CONFIRMATIONS_PER_HOUR", "100000".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Sends a request and returns the answer, which must have this status.
pub async fn send(connection: &mut Connection, request: &[u8], expected: u16) -> Result<Value> {
    let (status, body) = connection.send(request).await?;
    ensure!(status == expected, "status {status}: {}", String::from_utf8_lossy(body));
    Ok(serde_json::from_slice(body)?)
}
