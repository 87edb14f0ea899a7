//! Where a benchmark runs: private servers, one empty database, and the built binaries as processes.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use devstack::{App as Binaries, Postgres, Process, Redis};
use shared::{
    app::App,
    operations::integrity,
    platform::{
        config::{Config, Sources},
        db::Engine,
        rate_limit::Action,
    },
};
use tempfile::TempDir;

/// Both databases.
pub const ENGINES: [Engine; 2] = [Engine::Postgres, Engine::Sqlite];

/// A busy machine may take this long to start a process.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The databases that were chosen on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Databases {
    /// SQLite only.
    Sqlite,
    /// PostgreSQL only.
    Postgres,
    /// PostgreSQL and SQLite.
    Both,
}

impl Databases {
    /// The chosen engines.
    #[must_use]
    pub fn engines(self) -> &'static [Engine] {
        match self {
            Self::Sqlite => &[Engine::Sqlite],
            Self::Postgres => &[Engine::Postgres],
            Self::Both => &ENGINES,
        }
    }
}

/// Servers that sync to disk as in production, and an application on an empty database.
pub struct Testbed {
    /// The kind of database.
    pub engine: Engine,
    /// The library on that database.
    pub app: App,
    /// The PostgreSQL server, if that is the database.
    pub postgres: Option<Postgres>,
    /// The Redis server.
    pub redis: Redis,
    settings: Vec<(String, String)>,
    folder: TempDir,
}

impl Testbed {
    /// Starts the servers.
    pub async fn start(engine: Engine) -> Result<Self> {
        Self::start_with(engine, &[]).await
    }

    /// Starts the servers, PostgreSQL with additional options.
    pub async fn start_with(engine: Engine, options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let redis = Redis::start().await?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (postgres, url) = match engine {
            Engine::Sqlite => (None, format!("sqlite://{}?mode=rwc", path("parkade.db"))),
            Engine::Postgres => {
                let server = Postgres::start_with(options).await?;
                let url = server.create_database("parkade").await?;
                (Some(server), url)
            }
        };
        let settings = settings(url, redis.port(), folder.path());
        let app = App::start(Config::load(Sources::of(settings.clone()))?).await?;
        Ok(Self { engine, app, postgres, redis, settings, folder })
    }

    /// The database's name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        name(self.engine)
    }

    /// A path in this testbed's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a process with this testbed's settings and `more`.
    pub fn spawn(&self, binary: &Path, arguments: &[&str], more: &[(&str, String)]) -> Result<Process> {
        let mut settings = self.settings.clone();
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let log = self.path(&format!("{}.log", arguments.join("-").replace(['.', ':', '/'], "-")));
        Binaries::spawn(binary, arguments, &settings, self.folder.path(), &log)
    }

    /// Starts `parkade-worker`.
    pub fn worker(&self) -> Result<Process> {
        self.worker_with(&[])
    }

    /// The same with additional settings.
    pub fn worker_with(&self, settings: &[(&str, &str)]) -> Result<Process> {
        let more: Vec<_> = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.spawn(&binary("parkade-worker")?, &["run"], &more)
    }

    /// Starts `parkade-api` with production logging, and returns its address once it listens.
    pub async fn api(&self) -> Result<(Process, String)> {
        self.api_with(&[]).await
    }

    /// The same with additional settings.
    pub async fn api_with(&self, settings: &[(&str, &str)]) -> Result<(Process, String)> {
        let address = format!("127.0.0.1:{}", devstack::free_port()?);
        let mut more = vec![("HTTP_ADDR", address.clone()), ("LOG_LEVEL", "info".to_owned())];
        more.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let api = self.spawn(&binary("parkade-api")?, &["serve"], &more)?;
        listening(&api, &address).await?;
        Ok((api, address))
    }

    /// Fails if the data violates a rule.
    pub async fn check_integrity(&self) -> Result<()> {
        check_integrity(&self.app).await.context(self.name())
    }
}

/// The settings of every process.
#[must_use]
pub fn settings(database: String, redis: u16, folder: &Path) -> Vec<(String, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut settings: Vec<(String, String)> = [
        ("DATABASE_URL", database),
        ("REDIS_PORT", redis.to_string()),
        ("JWT_SECRET_KEY", uuid::Uuid::new_v4().to_string()),
        ("UPLOAD_FOLDER", path("files")),
        ("MAIL_FOLDER", path("mails")),
        // No admission control.
        ("MAX_REQUESTS", "0".into()),
        ("LOG_LEVEL", "warn".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    // Rate limits that are never reached, although every request is counted as in production.
    settings.extend(Action::ALL.map(|(_, name)| (name.to_owned(), "10000000/60".to_owned())));
    settings
}

/// A database's name in tables.
#[must_use]
pub fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
    }
}

/// Fails if the data violates a rule.
pub async fn check_integrity(app: &App) -> Result<()> {
    let broken: Vec<_> = integrity::check(app)
        .await?
        .into_iter()
        .filter(|check| !check.offenders.is_empty())
        .map(|check| format!("{}: {}", check.rule, check.offenders.join(", ")))
        .collect();
    ensure!(broken.is_empty(), "the data violates its rules\n{}", broken.join("\n"));
    Ok(())
}

/// Waits until a process accepts connections.
pub async fn listening(process: &Process, address: &str) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < START_TIMEOUT && process.memory().is_ok() {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("nothing listens on {address}:\n{}", process.log())
}

/// A binary that was built into the same folder as this one.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "{} is missing; start this through cargo xtask", path.display());
    Ok(path)
}

/// Runs a command and returns its standard output.
pub async fn output(command: &mut tokio::process::Command) -> Result<String> {
    let output = command.output().await.with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
