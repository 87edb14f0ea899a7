//! `cargo xtask conformance`: schemathesis calls every operation of the API's OpenAPI document with valid and invalid data,
//! anonymously, as a driver and as an administrator.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::{
    cargo,
    deployment::{ADMIN, DRIVER, Database, Deployment},
    install::{self, Server},
    python,
};

/// Pinned, because a new release has new checks.
const VERSION: &str = "4.32.5";

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
    cargo::build_debug()?;
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
    let report = call_every_operation(&deployment, program, args, role).await?;
    println!("==> schemathesis {VERSION} as {role:?} on {database:?}\n{report}");
    ensure!(deployment.check_integrity()?.success(), "the requests have damaged the data");
    Ok(())
}

/// Runs schemathesis and returns its report.
async fn call_every_operation(
    deployment: &Deployment,
    program: &Path,
    args: &Args,
    role: Role,
) -> Result<String> {
    let login = match role {
        Role::Anonymous => None,
        Role::Driver => Some(deployment.log_in(DRIVER).await?),
        Role::Admin => Some(deployment.log_in(ADMIN).await?),
    };
    let mut command = Command::new(program);
    let config = cargo::workspace().join("dev/xtask/schemathesis.toml");
    command.env("SCHEMATHESIS_HOOKS", cargo::workspace().join("dev/xtask/schemathesis_hooks.py"));
    command.arg("--config-file").arg(config).args(["run", &format!("{}/openapi.json", deployment.base)]);
    // Two workers sometimes fail in Python 3.11 ("recursion depth mismatch") and save little time.
    command.args(["--url", &deployment.base, "--seed", &args.seed.to_string(), "--workers", "1"]);
    if let Some((token, id)) = &login {
        command.env("PARKADE_CALLER", id);
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
        command.args(["--exclude-path", LOGOUT]);
    }
    command.args(&args.arguments).current_dir(deployment.folder()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("cannot run {}", program.display()))?;
    let report = [output.stdout, output.stderr].concat();
    let report = String::from_utf8_lossy(&report).into_owned();
    let log = tail(&deployment.log());
    ensure!(output.status.success(), "{report}\n{role:?} failed; the log of the API ends with:\n{log}");
    if let Some((token, _)) = login {
        // If the session had ended, most requests would have been rejected.
        deployment
            .post("/auth/refresh", Some(&token), &json!({}))
            .await
            .context("the session ended during the run")?;
    }
    Ok(report)
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
