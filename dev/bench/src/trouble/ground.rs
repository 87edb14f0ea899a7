//! Where a trouble takes place: private servers behind proxies, the built binaries as processes, people and their lot.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
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

use crate::{
    people,
    report::{Goal, Report},
    stage::{self, binary, listening},
};

/// A user who is logged in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub id: i64,
    /// Their token.
    pub token: String,
}

/// The servers and what surrounds them.
pub struct Ground {
    /// Which database.
    pub engine: Engine,
    /// The library on the same database, beside the trouble: it does not go through the proxies.
    pub app: App,
    /// Redis itself.
    pub redis: Redis,
    /// Through which the processes reach it.
    pub redis_proxy: ChaosProxy,
    /// PostgreSQL itself, if that is the database.
    pub postgres: Option<Postgres>,
    /// Through which the processes reach PostgreSQL.
    pub postgres_proxy: Option<ChaosProxy>,
    /// A lot with room for everybody.
    pub lot: i64,
    settings: Vec<(String, String)>,
    started: AtomicU32,
    folder: Option<TempDir>,
}

impl Ground {
    /// Starts the servers, and no process yet.
    pub async fn open(engine: Engine) -> Result<Self> {
        let folder = TempDir::with_prefix("parkade-trouble-")?;
        let redis = Redis::start().await?;
        let redis_proxy = before(redis.port()).await?;
        let sqlite = format!("sqlite://{}?mode=rwc", folder.path().join("parkade.db").display());
        let (postgres, postgres_proxy, urls) = match engine {
            Engine::Sqlite => (None, None, [sqlite.clone(), sqlite]),
            Engine::Postgres => {
                let server = Postgres::start().await?;
                let url = server.create_database("parkade").await?;
                let proxy = before(server.port()).await?;
                let through =
                    url.replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.addr().port()));
                (Some(server), Some(proxy), [url, through])
            }
        };
        let [direct, through] = urls;
        let config = stage::settings(direct, redis.port(), folder.path());
        let app = App::start(Config::load(Sources::of(config.clone()))?).await?;
        let mut settings = config;
        set(&mut settings, "DATABASE_URL", through);
        set(&mut settings, "REDIS_PORT", redis_proxy.addr().port().to_string());
        let lot = people::lot(&app, 200).await?;
        let (started, folder) = (AtomicU32::new(0), Some(folder));
        Ok(Self { engine, app, redis, redis_proxy, postgres, postgres_proxy, lot, settings, started, folder })
    }

    /// How the tables call the database.
    pub fn name(&self) -> &'static str {
        stage::name(self.engine)
    }

    /// A path in the folder of this ground.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().join(name)).unwrap_or_default()
    }

    /// Starts an API with more settings, at a free address where they name none. Returns its address once it listens.
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

    /// Starts a worker with more settings.
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

    /// So many users who are logged in.
    pub async fn people(&self, count: usize) -> Result<Vec<Person>> {
        let mut people = Vec::with_capacity(count);
        for _ in 0..count {
            let id = people::user(&self.app).await?;
            let token = session::open(&self.app, self.app.db.write(), id, None).await?;
            people.push(Person { id, token });
        }
        Ok(people)
    }

    /// Waits until no job is left to do. Returns how many seconds that took.
    pub async fn settle(&self, limit: Duration) -> Result<f64> {
        let begun = Instant::now();
        while self.jobs("state IN ('queued', 'running')").await? > 0 && begun.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// How many mails were in doubt and have been sent again, under the same Message-ID.
    pub async fn resent_mails(&self) -> Result<i64> {
        let db = self.app.db.write();
        let text = "SELECT COUNT(*) AS n FROM email_deliveries WHERE resent";
        Ok(db.query_one_raw(sql(db, text, [])).await?.context("a row")?.try_get("", "n")?)
    }

    /// How many jobs are like this, a condition in SQL.
    pub async fn jobs(&self, like: &str) -> Result<i64> {
        let db = self.app.db.write();
        let text = format!("SELECT COUNT(*) AS n FROM jobs WHERE {like}");
        Ok(db.query_one_raw(sql(db, &text, [])).await?.context("a row")?.try_get("", "n")?)
    }

    /// Whether so many exports that were promised, and all other jobs, are done, and the data is sound.
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    pub async fn keeps_promises(&self, exports: usize, report: &mut Report) -> Result<()> {
        let (name, exports) = (self.name(), exports as f64);
        report.must(format!("{name}: exports promised"), exports, "", Goal::AtLeast(10.0));
        let done = self.jobs("kind = 'export-csv' AND state = 'succeeded'").await? as f64;
        report.must(format!("{name}: exports done"), done, "", Goal::AtLeast(exports));
        let undone = self.jobs("state <> 'succeeded'").await? as f64;
        report.must(format!("{name}: jobs not done"), undone, "", Goal::AtMost(0.0));
        stage::is_sound(&self.app).await
    }

    /// How many jobs have ended since an instant.
    pub async fn jobs_done_since(&self, instant: DateTime<Utc>) -> Result<i64> {
        let db = self.app.db.write();
        let text = "SELECT COUNT(*) AS n FROM jobs WHERE finished_at > $1";
        Ok(db.query_one_raw(sql(db, text, [at(instant)])).await?.context("a row")?.try_get("", "n")?)
    }

    /// Leaves logs and data behind.
    pub fn keep(&mut self) {
        if let Some(folder) = self.folder.take() {
            println!("{}: logs and data stay in {}", self.name(), folder.keep().display());
        }
    }
}

async fn before(port: u16) -> Result<ChaosProxy> {
    ChaosProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn set(settings: &mut Vec<(String, String)>, name: &str, value: String) {
    settings.retain(|(known, _)| known != name);
    settings.push((name.to_owned(), value));
}
