//! A private API and worker with users and lots, which the checks of the API call.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use devstack::{App, Postgres, Process, Redis};
use serde_json::{Value, json};

use crate::cargo;

pub(crate) const PASSWORD: &str = "Correct-horse-1";
/// A second administrator, so that [`ADMIN`] can lose the role.
const FIRST_ADMIN: &str = "first@example.com";
pub(crate) const ADMIN: &str = "admin@example.com";
pub(crate) const DRIVER: &str = "driver@example.com";
/// An attendant at the first lot.
pub(crate) const ATTENDANT: &str = "attendant@example.com";
/// The users of simulated data, as in the demo.
pub(crate) const SEEDED_ADMIN: &str = "admin@parkade.test";
pub(crate) const SEEDED_DRIVER: &str = "driver@parkade.test";

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// An API and a worker on a database with users and lots.
pub(crate) struct Deployment {
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
    binary: PathBuf,
    pub(crate) base: String,
    http: reqwest::Client,
    api: Process,
    _worker: Process,
    _redis: Redis,
    postgres: Option<Postgres>,
}

impl Deployment {
    pub(crate) async fn start(database: Database) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let redis = Redis::start().await?;
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start_with(&["-c", "fsync=off"]).await?),
        };
        let url = match &postgres {
            None => "sqlite://parkade.db?mode=rwc".to_owned(),
            Some(postgres) => postgres.create_database("parkade").await?,
        };
        let port = devstack::free_port()?;
        let mut settings = vec![
            ("JWT_SECRET_KEY", "a key for conformance that is long enough".to_owned()),
            ("DATABASE_URL", url),
            ("REDIS_PORT", redis.port().to_string()),
            ("HTTP_ADDR", format!("127.0.0.1:{port}")),
            ("APP_ENV", "testing".to_owned()),
            ("ADMIN_EMAIL", FIRST_ADMIN.to_owned()),
            ("ADMIN_PASSWORD", PASSWORD.to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
        ];
        let limits = [
            "RATE_LIMIT_USER_READS",
            "RATE_LIMIT_LOGIN",
            "RATE_LIMIT_REGISTER",
            "RATE_LIMIT_PASSWORD_RESET",
            "RATE_LIMIT_PHONE_CODE",
            "RATE_LIMIT_EXPORT",
            "RATE_LIMIT_DEFAULT",
        ];
        settings.extend(limits.map(|name| (name, "10000000/60".to_owned())));
        let binaries = cargo::built()?;
        let start = |name: &str, command: &str| {
            let log = folder.path().join(format!("{name}.log"));
            App::spawn(&binaries.join(name), [command], &settings, folder.path(), &log)
        };
        let (api, worker) = (start("parkade-api", "serve")?, start("parkade-worker", "run")?);
        let deployment = Self {
            base: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?,
            binary: binaries.join("parkade-api"),
            folder,
            settings,
            api,
            _worker: worker,
            _redis: redis,
            postgres,
        };
        deployment.ready().await?;
        deployment.fill().await?;
        Ok(deployment)
    }

    async fn ready(&self) -> Result<()> {
        for _ in 0..600 {
            let answer = self.http.get(format!("{}/health/ready", self.base)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the API is not ready:\n{}", self.log())
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
        let mut request = self.http.post(format!("{}/api{path}", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await?.error_for_status()?.json().await.with_context(|| format!("POST {path}"))
    }

    /// The token and the id of a user.
    pub(crate) async fn log_in(&self, email: &str) -> Result<(String, String)> {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self.post("/auth/login", None, &body).await?;
        Ok((
            answer["token"].as_str().context("a login without a token")?.to_owned(),
            answer["user"]["id"].to_string(),
        ))
    }

    /// Creates a user of each role and some lots.
    async fn fill(&self) -> Result<()> {
        let (admin, _) = self.log_in(FIRST_ADMIN).await?;
        for (role, email) in [("admin", ADMIN), ("user", DRIVER), ("attendant", ATTENDANT)] {
            let user = json!({ "username": email.split('@').next(), "email": email, "password": PASSWORD, "role": role });
            self.post("/users", Some(&admin), &user).await?;
        }
        for name in ["Main Street", "Harbour"] {
            let lot = json!({ "location_name": name, "price": 25.5, "address": "1, Main Street", "pincode": "400001", "number_of_slots": 50 });
            self.post("/parking-lots", Some(&admin), &lot).await?;
        }
        let (_, attendant) = self.log_in(ATTENDANT).await?;
        let path = format!("{}/api/users/{attendant}/lots", self.base);
        let lots = self.http.put(path).bearer_auth(&admin).json(&json!({ "lot_ids": [1] }));
        lots.send().await?.error_for_status()?;
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The log of the API.
    pub(crate) fn log(&self) -> String {
        self.api.log()
    }

    /// Makes it look as if the first mails to some users had been refused.
    pub(crate) async fn fail_jobs(&self, count: u32) -> Result<()> {
        let done = "SELECT COUNT(*) FROM jobs WHERE kind = 'send-welcome' AND state = 'succeeded'";
        for _ in 0..100 {
            if self.query(done).await?.parse::<u32>()? >= count {
                let text = format!(
                    "UPDATE jobs SET state = 'failed', error = 'the mail server refused it: 550 no such mailbox' WHERE id IN
                     (SELECT id FROM jobs WHERE kind = 'send-welcome' AND state = 'succeeded' ORDER BY id LIMIT {count})"
                );
                return self.query(&text).await.map(drop);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("no users are welcomed:\n{}", self.log())
    }

    /// The first value that a statement returns.
    async fn query(&self, text: &str) -> Result<String> {
        if let Some(postgres) = &self.postgres {
            return postgres.query("parkade", text).await;
        }
        let program = "import sqlite3, sys\nwith sqlite3.connect('parkade.db', timeout=10) as db: print(*(db.execute(sys.argv[1]).fetchone() or ()))";
        let mut python = tokio::process::Command::new("python3");
        let output = python.args(["-c", program, text]).current_dir(self.folder.path()).output().await?;
        if !output.status.success() {
            bail!("python3: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(crate) fn check_integrity(&self) -> Result<std::process::ExitStatus> {
        let settings = self.settings.iter().map(|(name, value)| (name, value));
        let mut command = std::process::Command::new(&self.binary);
        command.arg("integrity").env_clear().envs(settings).current_dir(self.folder.path());
        command.status().context("parkade-api integrity")
    }
}
