//! Where a benchmark takes place: private servers, a database, and the release binaries as processes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
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

/// Which of them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Which {
    /// SQLite only.
    Sqlite,
    /// PostgreSQL only.
    Postgres,
    /// One after the other, or side by side.
    Both,
}

impl Which {
    /// Those that are meant.
    pub fn engines(self) -> &'static [Engine] {
        match self {
            Self::Sqlite => &[Engine::Sqlite],
            Self::Postgres => &[Engine::Postgres],
            Self::Both => &ENGINES,
        }
    }
}

/// Servers that wait for the disk as in production, and one empty database.
pub struct Stage {
    /// Which database.
    pub engine: Engine,
    /// The library on that database.
    pub app: App,
    /// The PostgreSQL server, also where it is not the database.
    pub postgres: Option<Postgres>,
    settings: Vec<(String, String)>,
    folder: TempDir,
    _redis: Redis,
}

impl Stage {
    /// Starts everything.
    pub async fn set(engine: Engine) -> Result<Self> {
        Self::set_with(engine, &[]).await
    }

    /// Starts everything, PostgreSQL with more options.
    pub async fn set_with(engine: Engine, options: &[&str]) -> Result<Self> {
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
        Ok(Self { engine, app, postgres, settings, folder, _redis: redis })
    }

    /// How the tables call it.
    pub fn name(&self) -> &'static str {
        name(self.engine)
    }

    /// A path in the folder of this stage.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a process with the settings of this stage.
    pub fn spawn(&self, binary: &Path, arguments: &[&str], more: &[(&str, String)]) -> Result<Process> {
        let mut settings = self.settings.clone();
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let log = self.path(&format!("{}.log", arguments.join("-").replace(['.', ':'], "-")));
        Binaries::spawn(binary, arguments, &settings, self.folder.path(), &log)
    }

    /// Starts the release worker.
    pub fn worker(&self) -> Result<Process> {
        self.spawn(&binary("parkade-worker")?, &["run"], &[])
    }

    /// Starts the release API, which logs as in production. Returns its address once it answers.
    pub async fn api(&self) -> Result<(Process, String)> {
        self.api_with(&[]).await
    }

    /// The same with other settings.
    pub async fn api_with(&self, settings: &[(&str, &str)]) -> Result<(Process, String)> {
        let address = format!("127.0.0.1:{}", devstack::free_port()?);
        let mut more = vec![("HTTP_ADDR", address.clone()), ("LOG_LEVEL", "info".to_owned())];
        more.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let api = self.spawn(&binary("parkade-api")?, &["serve"], &more)?;
        listening(&api, &address).await?;
        Ok((api, address))
    }

    /// Fails if the data is not sound.
    pub async fn check(&self) -> Result<()> {
        is_sound(&self.app).await.context(self.name())
    }
}

/// What every process is told.
pub fn settings(database: String, redis: u16, folder: &Path) -> Vec<(String, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut settings: Vec<(String, String)> = [
        ("DATABASE_URL", database),
        ("REDIS_PORT", redis.to_string()),
        ("JWT_SECRET_KEY", uuid::Uuid::new_v4().to_string()),
        ("UPLOAD_FOLDER", path("files")),
        ("MAIL_FOLDER", path("mails")),
        // So that no call is refused.
        ("MAX_REQUESTS", "0".into()),
        ("LOG_LEVEL", "warn".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    // So high that no call is refused; each is counted as in production.
    settings.extend(Action::ALL.map(|(_, name)| (name.to_owned(), "10000000/60".to_owned())));
    settings
}

/// How the tables call a database.
pub fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
    }
}

/// Fails if the data is not sound.
pub async fn is_sound(app: &App) -> Result<()> {
    let broken: Vec<_> = integrity::check(app)
        .await?
        .into_iter()
        .filter(|check| !check.offenders.is_empty())
        .map(|check| format!("{}: {}", check.rule, check.offenders.join(", ")))
        .collect();
    ensure!(broken.is_empty(), "the data is not sound\n{}", broken.join("\n"));
    Ok(())
}

/// Waits until a process takes connections.
pub async fn listening(process: &Process, address: &str) -> Result<()> {
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("nobody answers at {address}:\n{}", process.log())
}

/// A binary that was built beside this one.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "{} is missing; use cargo xtask bench", path.display());
    Ok(path)
}

/// Runs a command and returns its output.
pub async fn output(command: &mut tokio::process::Command) -> Result<String> {
    let output = command.output().await.with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
