//! Where a scenario runs: private servers behind proxies, the built binaries as processes, users and a lot.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bench::{
    report::{Goal, Report},
    testbed::{binary, check_integrity, listening, name, settings},
};
use chrono::{DateTime, Utc};
use devstack::{App as Binaries, ChaosProxy, Postgres, Process, Redis};
use sea_orm::ConnectionTrait;
use shared::{
    app::App,
    parking::accounts::session,
    platform::{
        config::{Config, Sources},
        db::{Engine, at, sql},
    },
};
use tempfile::TempDir;

use crate::fixtures;

/// A logged-in user.
#[derive(Debug, Clone)]
pub struct User {
    pub id: i64,
    pub token: String,
}

/// The servers, and the settings with which processes reach them through proxies.
pub struct Testbed {
    pub engine: Engine,
    /// The library on the same database, without proxies.
    pub app: App,
    pub redis: Redis,
    pub redis_proxy: ChaosProxy,
    /// `None` on SQLite.
    pub postgres: Option<Postgres>,
    pub postgres_proxy: Option<ChaosProxy>,
    /// Has more spots than there are users.
    pub lot: i64,
    settings: Vec<(String, String)>,
    started: AtomicU32,
    folder: Option<TempDir>,
}

impl Testbed {
    /// Starts the servers, but no processes.
    pub async fn start(engine: Engine) -> Result<Self> {
        let folder = TempDir::with_prefix("parkade-chaos-")?;
        let redis = Redis::start().await?;
        let redis_proxy = proxy_to(redis.port()).await?;
        let sqlite = format!("sqlite://{}?mode=rwc", folder.path().join("parkade.db").display());
        let (postgres, postgres_proxy, urls) = match engine {
            Engine::Sqlite => (None, None, [sqlite.clone(), sqlite]),
            Engine::Postgres => {
                let server = Postgres::start().await?;
                let url = server.create_database("parkade").await?;
                let proxy = proxy_to(server.port()).await?;
                let through =
                    url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.addr().port()));
                (Some(server), Some(proxy), [url, through])
            }
        };
        let [direct, through] = urls;
        let mut settings = settings(direct, redis.port(), folder.path());
        let app = App::start(Config::load(Sources::of(settings.clone()))?).await?;
        set(&mut settings, "DATABASE_URL", through);
        set(&mut settings, "REDIS_PORT", redis_proxy.addr().port().to_string());
        let lot = fixtures::lot(&app, 200).await?;
        let (started, folder) = (AtomicU32::new(0), Some(folder));
        Ok(Self { engine, app, redis, redis_proxy, postgres, postgres_proxy, lot, settings, started, folder })
    }

    /// Uses another URL for the same database from now on.
    pub async fn use_database(&mut self, url: String) -> Result<()> {
        set(&mut self.settings, "DATABASE_URL", url);
        self.app = App::connect(Config::load(Sources::of(self.settings.clone()))?).await?;
        Ok(())
    }

    /// How many of these reservations satisfy an SQL condition.
    pub async fn count_reservations(&self, ids: &[i64], condition: &str) -> Result<f64> {
        let ids = ids.iter().chain([&0]).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("SELECT COUNT(*) AS n FROM reservations WHERE id IN ({ids}) AND {condition}");
        let db = self.app.db.write();
        let count: i64 = db.query_one_raw(sql(db, &text, [])).await?.context("no row")?.try_get("", "n")?;
        Ok(f64::from(u32::try_from(count)?))
    }

    /// The database's name in tables.
    pub fn name(&self) -> &'static str {
        name(self.engine)
    }

    /// A path in this testbed's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().join(name)).unwrap_or_default()
    }

    /// Starts an API with additional settings, on a free port unless they have an address. Returns its address once it
    /// listens.
    pub async fn api(&self, more: &[(&str, &str)]) -> Result<(Process, String)> {
        let given =
            more.iter().find(|(name, _)| *name == "HTTP_ADDR").map(|(_, address)| (*address).to_owned());
        let address =
            given.map_or_else(|| devstack::free_port().map(|port| format!("127.0.0.1:{port}")), Ok)?;
        let more: Vec<_> = more.iter().copied().chain([("HTTP_ADDR", address.as_str())]).collect();
        let api = self.spawn("parkade-api", "serve", &more)?;
        listening(&api, &address).await?;
        Ok((api, address))
    }

    /// Starts a worker with additional settings.
    pub fn worker(&self, more: &[(&str, &str)]) -> Result<Process> {
        self.spawn("parkade-worker", "run", more)
    }

    fn spawn(&self, name: &str, command: &str, more: &[(&str, &str)]) -> Result<Process> {
        let mut settings = self.settings.clone();
        more.iter().for_each(|(name, value)| set(&mut settings, name, (*value).to_owned()));
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.path(&format!("{name}-{number}.log"));
        Binaries::spawn(&binary(name)?, [command], &settings, &self.path(""), &log)
    }

    /// New users.
    pub async fn users(&self, count: usize) -> Result<Vec<User>> {
        let mut users = Vec::with_capacity(count);
        for _ in 0..count {
            let id = fixtures::user(&self.app).await?;
            let token = session::open(&self.app, self.app.db.write(), id, None).await?;
            users.push(User { id, token });
        }
        Ok(users)
    }

    /// Waits until no job is left, or for this long. Returns the seconds it took.
    pub async fn settle(&self, limit: Duration) -> Result<f64> {
        let started = Instant::now();
        while self.jobs("state IN ('queued', 'running')").await? > 0 && started.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// The number of mails that were sent again because it was unknown whether the server had accepted them.
    pub async fn resent_mails(&self) -> Result<i64> {
        let db = self.app.db.write();
        let text = "SELECT COUNT(*) AS n FROM email_deliveries WHERE resent";
        Ok(db.query_one_raw(sql(db, text, [])).await?.context("no row")?.try_get("", "n")?)
    }

    /// The number of jobs for which an SQL condition holds.
    pub async fn jobs(&self, condition: &str) -> Result<i64> {
        let db = self.app.db.write();
        let text = format!("SELECT COUNT(*) AS n FROM jobs WHERE {condition}");
        Ok(db.query_one_raw(sql(db, &text, [])).await?.context("no row")?.try_get("", "n")?)
    }

    /// Checks that all accepted exports and all other jobs are done, and that the data obeys its rules.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub async fn check_outcome(&self, exports: usize, report: &mut Report) -> Result<()> {
        let (name, exports) = (self.name(), exports as f64);
        report.require(format!("{name}: exports accepted"), exports, "", Goal::AtLeast(10.0));
        let done = self.jobs("kind = 'export-csv' AND state = 'succeeded'").await? as f64;
        report.require(format!("{name}: exports done"), done, "", Goal::AtLeast(exports));
        let undone = self.jobs("state <> 'succeeded'").await? as f64;
        report.require(format!("{name}: jobs not done"), undone, "", Goal::AtMost(0.0));
        check_integrity(&self.app).await
    }

    /// The number of jobs that have ended since then.
    pub async fn jobs_ended_since(&self, instant: DateTime<Utc>) -> Result<i64> {
        let db = self.app.db.write();
        let text = "SELECT COUNT(*) AS n FROM jobs WHERE finished_at > $1";
        Ok(db.query_one_raw(sql(db, text, [at(instant)])).await?.context("no row")?.try_get("", "n")?)
    }

    /// Keeps the logs and data, which are deleted otherwise.
    pub fn keep(&mut self) {
        if let Some(folder) = self.folder.take() {
            println!("{}: logs and data are kept in {}", self.name(), folder.keep().display());
        }
    }
}

async fn proxy_to(port: u16) -> Result<ChaosProxy> {
    ChaosProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn set(settings: &mut Vec<(String, String)>, name: &str, value: String) {
    settings.retain(|(known, _)| known != name);
    settings.push((name.to_owned(), value));
}
