//! `cargo xtask conformance`: schemathesis calls every operation of the API's OpenAPI document with valid and invalid data,
//! anonymously, as a driver and as an administrator.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use devstack::{App, Postgres, Process, Redis};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    cargo,
    install::{self, Server},
    python,
};

/// Pinned, because a new release has new checks.
const VERSION: &str = "4.32.5";

const PASSWORD: &str = "Correct-horse-1";
/// A second administrator, so that [`ADMIN`] can lose the role.
const FIRST_ADMIN: &str = "first@example.com";
const ADMIN: &str = "admin@example.com";
const DRIVER: &str = "driver@example.com";

/// Excluded, because it would end the session of all later requests.
const LOGOUT: &str = "/api/auth/logout";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Determines the requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Call only with this role.
    #[arg(long)]
    role: Option<Role>,
    /// Call only with this database; by default every role on SQLite, and administrators on PostgreSQL.
    #[arg(long)]
    database: Option<Database>,
    /// Additional arguments for `st run`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Default for Args {
    fn default() -> Self {
        Self { seed: 1, role: None, database: None, arguments: Vec::new() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Role {
    Anonymous,
    Driver,
    Admin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

impl Args {
    /// The roles to call with on a database.
    fn roles(&self, database: Database) -> Vec<Role> {
        let roles = match (self.database, database) {
            (None, Database::Postgres) => vec![Role::Admin],
            (Some(only), _) if only != database => Vec::new(),
            _ => vec![Role::Anonymous, Role::Driver, Role::Admin],
        };
        match self.role {
            Some(role) if roles.contains(&role) => vec![role],
            Some(_) => Vec::new(),
            None => roles,
        }
    }
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    install::ensure(&[Server::Redis, Server::Postgres])?;
    cargo::run(["build", "-p", "api", "-p", "worker", "-p", "xtask"])?;
    let program =
        python::programs(&format!("schemathesis-{VERSION}"), &[&format!("schemathesis=={VERSION}")])?
            .join("st");
    let runs: Vec<(Database, Role)> = [Database::Sqlite, Database::Postgres]
        .into_iter()
        .flat_map(|database| args.roles(database).into_iter().map(move |role| (database, role)))
        .collect();
    let every_second = async |first: usize| {
        for (database, role) in runs.iter().skip(first).step_by(2) {
            check(&program, args, *database, *role).await?;
        }
        anyhow::Ok(())
    };
    // Two at a time, because schemathesis uses one core.
    tokio::try_join!(every_second(0), every_second(1))?;
    println!("==> all operations conform to the document");
    Ok(())
}

/// Calls every operation on a new database in one role.
async fn check(program: &Path, args: &Args, database: Database, role: Role) -> Result<()> {
    let deployment = Deployment::start(database).await?;
    let report = deployment.check(program, args, role).await?;
    println!("==> schemathesis {VERSION} as {role:?} on {database:?}\n{report}");
    ensure!(deployment.check_integrity()?.success(), "the requests have damaged the data");
    Ok(())
}

/// An API and a worker on a database with users and lots.
struct Deployment {
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
    binary: PathBuf,
    base: String,
    http: reqwest::Client,
    api: Process,
    _worker: Process,
    _redis: Redis,
    _postgres: Option<Postgres>,
}

impl Deployment {
    async fn start(database: Database) -> Result<Self> {
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
            "RATE_LIMIT_EXPORT",
            "RATE_LIMIT_DEFAULT",
        ];
        settings.extend(limits.map(|name| (name, "10000000/60".to_owned())));
        let binaries = cargo::binaries("debug")?;
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
            _postgres: postgres,
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
        bail!("the API is not ready:\n{}", self.api.log())
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
        let mut request = self.http.post(format!("{}/api{path}", self.base)).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await?.error_for_status()?.json().await.with_context(|| format!("POST {path}"))
    }

    /// The token and the id of a user.
    async fn log_in(&self, email: &str) -> Result<(String, String)> {
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
        for (role, email) in [("admin", ADMIN), ("user", DRIVER)] {
            let user = json!({ "username": email.split('@').next(), "email": email, "password": PASSWORD, "role": role });
            self.post("/users", Some(&admin), &user).await?;
        }
        for name in ["Main Street", "Harbour"] {
            let lot = json!({ "location_name": name, "price": 25.5, "address": "1, Main Street", "pincode": "400001", "number_of_slots": 50 });
            self.post("/parking-lots", Some(&admin), &lot).await?;
        }
        Ok(())
    }

    /// Runs schemathesis and returns its report.
    async fn check(&self, program: &Path, args: &Args, role: Role) -> Result<String> {
        let login = match role {
            Role::Anonymous => None,
            Role::Driver => Some(self.log_in(DRIVER).await?),
            Role::Admin => Some(self.log_in(ADMIN).await?),
        };
        let mut command = Command::new(program);
        let config = cargo::workspace().join("dev/xtask/schemathesis.toml");
        command.env("SCHEMATHESIS_HOOKS", cargo::workspace().join("dev/xtask/schemathesis_hooks.py"));
        command.arg("--config-file").arg(config).args(["run", &format!("{}/openapi.json", self.base)]);
        // Two workers sometimes fail in Python 3.11 ("recursion depth mismatch") and save little time.
        command.args(["--url", &self.base, "--seed", &args.seed.to_string(), "--workers", "1"]);
        if let Some((token, id)) = &login {
            command.env("PARKADE_CALLER", id);
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
            command.args(["--exclude-path", LOGOUT]);
        }
        command.args(&args.arguments).current_dir(self.folder.path()).kill_on_drop(true);
        let output = command.output().await.with_context(|| format!("cannot run {}", program.display()))?;
        let report = [output.stdout, output.stderr].concat();
        let report = String::from_utf8_lossy(&report).into_owned();
        let log = tail(&self.api.log());
        ensure!(output.status.success(), "{report}\n{role:?} failed; the log of the API ends with:\n{log}");
        if let Some((token, _)) = login {
            // If the session had ended, most requests would have been rejected.
            self.post("/auth/refresh", Some(&token), &json!({}))
                .await
                .context("the session ended during the run")?;
        }
        Ok(report)
    }

    fn check_integrity(&self) -> Result<std::process::ExitStatus> {
        let settings = self.settings.iter().map(|(name, value)| (name, value));
        let mut command = std::process::Command::new(&self.binary);
        command.arg("integrity").env_clear().envs(settings).current_dir(self.folder.path());
        command.status().context("parkade-api integrity")
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
