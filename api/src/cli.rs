//! The commands of `parkade-api`.

mod backup;
mod doctor;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use migration::{Migrator, MigratorTrait};
use shared::{
    app::App,
    operations::{
        clear::{self, Scope},
        demo::{self, Plan, Size, Span},
        integrity,
        reset::{self, Removed},
    },
    parking::accounts,
    platform::{
        cache::{self, Group},
        config::{Config, Environment, Sources},
        settings, telemetry,
    },
};
use tokio::net::TcpListener;

/// Parkade's API: parking lots, bookings, exports.
#[derive(Parser)]
#[command(name = "parkade-api", version, after_help = settings::help())]
pub(crate) struct Cli {
    /// A file with settings, NAME=VALUE a line.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the schema up to date and answer requests until SIGTERM.
    Serve,
    /// Change the schema.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Administrators.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check on live data that it is sound; fails when a rule is broken.
    Integrity,
    /// Caches, counters and rate limits in Redis.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Delete all data but the administrators; needs ALLOW_RESET=true, never possible in production.
    Reset {
        /// Confirm it by the words: delete all data.
        #[arg(long)]
        confirm: String,
    },
    /// Look at everything that Parkade needs, and say what to do; fails on a problem.
    Doctor(doctor::Doctor),
    /// Write the whole database into one file, while everything goes on.
    Backup(backup::Backup),
    /// Put a backup into the place of the database; API and workers must be stopped.
    Restore(backup::Restore),
    /// Print the OpenAPI document.
    Openapi,
    /// Fill an empty database with a simulated car park.
    Seed(Seed),
}

#[derive(Subcommand)]
enum Migrate {
    /// Apply every migration that is missing.
    Up,
    /// Undo every migration; all data is lost.
    Down,
    /// List the migrations.
    Status,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make an administrator; the password is read from standard input.
    Create {
        /// Shown to others.
        #[arg(long)]
        username: String,
        /// The login.
        #[arg(long)]
        email: String,
    },
}

#[derive(Subcommand)]
enum CacheCommand {
    /// Clear them; sessions and jobs stay.
    Clear {
        /// What to clear.
        #[arg(long, value_parser = ["cache", "counters", "rate_limits"], default_value = "cache")]
        scope: Vec<String>,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read every setting and report all problems.
    Check,
}

#[derive(clap::Args)]
struct Seed {
    /// small: 1 lot of 50 spots, demo: 20 of 300, large: 200 of 500.
    #[arg(long, default_value = "small")]
    size: Size,
    /// How far back from now: day, month or year.
    #[arg(long, default_value = "month")]
    span: Span,
    /// The same seed gives the same rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Reservations of the one heavy user.
    #[arg(long, default_value_t = 0)]
    heavy: u64,
    /// Password of every simulated account; a random one is printed when none is given.
    #[arg(long)]
    password: Option<String>,
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if let Command::Openapi = self.command {
            return print(&api::routes::document().to_pretty_json()?);
        }
        let config = Config::load(Sources::read(self.config.as_deref()))?;
        let _spans = telemetry::init(&config, "parkade-api")?;
        match self.command {
            Command::Openapi => Ok(()),
            Command::Serve => serve(config).await,
            Command::Migrate(command) => migrate(config, command).await,
            Command::Admin(AdminCommand::Create { username, email }) => {
                create_admin(config, &username, &email).await
            }
            Command::Config(ConfigCommand::Check) => {
                config.jwt_secret()?;
                print("the settings are fine")
            }
            Command::Integrity => check_integrity(config).await,
            Command::Cache(CacheCommand::Clear { scope }) => clear_cache(config, &scope).await,
            Command::Reset { confirm } => reset(config, &confirm).await,
            Command::Doctor(doctor) => doctor.run(&config).await,
            Command::Backup(backup) => backup.run(&config).await,
            Command::Restore(restore) => restore.run(config).await,
            Command::Seed(plan) => seed(config, plan).await,
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command line answers there")]
fn print(text: &str) -> anyhow::Result<()> {
    println!("{text}");
    Ok(())
}

async fn started(config: Config) -> anyhow::Result<App> {
    App::start(config).await.map_err(|error| anyhow::anyhow!(error.chain()))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    config.jwt_secret()?;
    let app = App::start_together(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    if let Some(admin) = &app.config.admin {
        accounts::ensure_admin(&app, admin).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    }
    let address = app.config.http_addr;
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    app.tasks.spawn(api::routes::lots::warm(app.clone()));
    let _metrics = api::http::metrics::start(&app).await?;
    api::http::drain::serve(listener, &app).await?;
    app.finish().await;
    Ok(())
}

async fn migrate(config: Config, command: Migrate) -> anyhow::Result<()> {
    let production = config.environment == Environment::Production;
    let app = App::connect(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    match command {
        Migrate::Up => app.db.migrate().await.map_err(|error| anyhow::anyhow!(error.chain()))?,
        Migrate::Down if production => bail!("APP_ENV is production: undoing the schema would lose all data"),
        Migrate::Down => Migrator::down(&app.db.write().pool(), None).await?,
        Migrate::Status => {
            for migration in Migrator::get_migration_with_status(&app.db.write().pool()).await? {
                print(&format!("{:<32}{}", migration.name(), migration.status()))?;
            }
        }
    }
    app.db.close().await;
    Ok(())
}

async fn create_admin(config: Config, username: &str, email: &str) -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).context("reading the password from standard input")?;
    let app = started(config).await?;
    let user = accounts::create_admin(&app, username, email, password.trim_end_matches(['\r', '\n']))
        .await
        .map_err(|error| anyhow::anyhow!(error.chain()))?;
    app.db.close().await;
    print(&format!("administrator {} has the id {}", user.username, user.id))
}

async fn check_integrity(config: Config) -> anyhow::Result<()> {
    let app = App::connect(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    let checks = integrity::check(&app).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    app.db.close().await;
    for check in &checks {
        print(&format!("{:<5}{}", if check.offenders.is_empty() { "ok" } else { "FAIL" }, check.rule))?;
        check.offenders.iter().try_for_each(|offender| print(&format!("       {offender}")))?;
    }
    match checks.iter().filter(|check| !check.offenders.is_empty()).count() {
        0 => print("the data is sound"),
        broken => bail!("{broken} of {} rules are broken", checks.len()),
    }
}

async fn clear_cache(config: Config, names: &[String]) -> anyhow::Result<()> {
    let app = App::connect(config).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    let scopes: Vec<Scope> = names.iter().filter_map(|name| Scope::named(name)).collect();
    let cleared = clear::clear(&app, None, &scopes).await;
    app.db.close().await;
    print(&format!("{} keys cleared", cleared.map_err(|error| anyhow::anyhow!(error.chain()))?))
}

async fn reset(config: Config, confirm: &str) -> anyhow::Result<()> {
    let app = started(config).await?;
    let removed = reset::reset(&app, None, confirm).await;
    app.db.close().await;
    let Removed { rows, keys, files } = removed.map_err(|error| anyhow::anyhow!(error.chain()))?;
    let keys = keys.map_or_else(|| "no keys, Redis is away".to_owned(), |keys| format!("{keys} keys"));
    print(&format!("deleted: {rows} rows, {files} files, {keys}; the administrators are still there"))
}

async fn seed(config: Config, seed: Seed) -> anyhow::Result<()> {
    if config.environment == Environment::Production {
        bail!("APP_ENV is production: simulated accounts have no place there");
    }
    let app = started(config).await?;
    let password = seed.password.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let hash =
        accounts::password::hash(password.clone()).await.map_err(|error| anyhow::anyhow!(error.chain()))?;
    let plan = Plan::new(seed.size, seed.span, seed.seed, app.clock.now(), app.config.zone, seed.heavy);
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {human_pos} rows, {per_sec}")?);
    let loaded = demo::load(&app.db, &plan, &hash, |rows| bar.set_position(rows))
        .await
        .map_err(|error| anyhow::anyhow!(error.chain()))?;
    bar.finish_and_clear();
    // An API that runs already may have cached the empty database.
    cache::changed(&app, &[Group::Everything]).await;
    app.db.close().await;
    print(&format!(
        "{} lots, {} spots, {} users, {} reservations in {:.1} s; \
         log in as admin@parkade.test or driver@parkade.test with the password {password}",
        loaded.lots,
        loaded.spots,
        loaded.users,
        loaded.reservations,
        loaded.elapsed.as_secs_f64()
    ))
}
