//! Checks the database: connection, schema, server settings and waiting jobs.

use migration::REPORTS;
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;

use super::{
    rules::{self, PostgresServer},
    verdict::{Verdict, ok, problem, warning},
};
use crate::{
    base::{clock::Clock, error::Result},
    jobs::control,
    operations::{
        backup,
        schema::{APPLIED_MIGRATIONS, known_migrations},
    },
    parking::notifications::outage,
    platform::{
        config::{Config, Environment},
        db::{Db, Engine, sql},
        installation,
    },
};

pub(super) async fn check(config: &Config, clock: &Clock) -> Vec<Verdict> {
    let url = config.database_url.expose_secret();
    if backup::is_missing(url) {
        return vec![warning(
            "the database file does not exist yet",
            "check DATABASE_URL and the working directory, or create it with parkade-api migrate up",
        )];
    }
    let mut found = Vec::new();
    let examined = match Db::connect(url, 1).await {
        Ok(db) => {
            let examined = examine(config, clock, &db, &mut found).await;
            db.close().await;
            examined
        }
        Err(error) => Err(error),
    };
    if let Err(error) = examined {
        found.push(problem(
            format!("it cannot be used: {}", error.chain()),
            "check that the database runs, and DATABASE_URL; see docs/OPERATIONS.md",
        ));
    }
    found
}

/// Adds to `found` until a query fails.
async fn examine(config: &Config, clock: &Clock, db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    found.push(ok(format!("{} {}", db.engine().name(), db.version().await?)));
    let (applied, known) = (applied_migrations(db).await?, known_migrations());
    found.push(rules::schema(&applied, &known));
    match db.engine() {
        Engine::Sqlite => {
            let journal = text(db, "SELECT journal_mode AS t FROM pragma_journal_mode").await?;
            found.push(rules::sqlite(&journal, config.environment == Environment::Production));
        }
        Engine::Postgres => examine_postgres(config, clock, db, found).await?,
    }
    if applied == known {
        examine_reports(db, found).await?;
        examine_currency(config, db, found).await?;
        found.extend(rules::without_key(&migration::without_key(db.read()).await?));
        examine_jobs(clock, db, found).await?;
    }
    Ok(())
}

async fn examine_postgres(config: &Config, clock: &Clock, db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    let setting = async |name: &str| text(db, &format!("SELECT current_setting('{name}') AS t")).await;
    let server = PostgresServer {
        is_crash_safe: setting("fsync").await? == "on" && setting("full_page_writes").await? == "on",
        waits_for_disk: setting("synchronous_commit").await? != "off",
        max_connections: setting("max_connections").await?.parse().unwrap_or_default(),
    };
    let per_process = config.database_connections + config.database_connections.div_ceil(2);
    found.extend(rules::postgres(server, per_process));
    if let Some(time) = db.server_time().await? {
        found.push(rules::clock("PostgreSQL", (time - clock.now()).num_milliseconds()));
    }
    Ok(())
}

/// Empty for a database without the migrations table.
async fn applied_migrations(db: &Db) -> Result<Vec<String>> {
    let rows = db.read().query_all_raw(sql(db.read(), APPLIED_MIGRATIONS, [])).await.unwrap_or_default();
    Ok(rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?)
}

/// What migrations left for operators to look at.
async fn examine_reports(db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    for report in &REPORTS {
        if let Some(what) = db.report(report).await? {
            found.push(warning(what, report.advice));
        }
    }
    Ok(())
}

async fn examine_currency(config: &Config, db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    let stored = installation::stored_currency(db.read()).await?;
    found.push(rules::currency(stored.as_deref(), config.currency));
    let (first, count) = installation::rounded(db.read(), 10).await?;
    found.extend(rules::rounded(&first, count));
    Ok(())
}

/// Why no process can start with `CURRENCY` on this database; `None` if the database cannot be asked.
pub async fn currency_conflict(config: &Config) -> Option<String> {
    let url = config.database_url.expose_secret();
    if backup::is_missing(url) {
        return None;
    }
    let db = Db::connect(url, 1).await.ok()?;
    let stored = installation::stored_currency(db.read()).await;
    db.close().await;
    installation::conflict(&stored.ok()??, config.currency)
}

async fn examine_jobs(clock: &Clock, db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    let now = clock.now();
    for waiting in control::list_backlogs(db, now).await? {
        found.push(rules::backlog(&waiting.queue, waiting.jobs, (now - waiting.oldest).num_seconds()));
    }
    if let Some(outage) = outage::find(db).await? {
        found.push(rules::mail_outage(&outage, outage::count_held(db).await?));
    }
    let count = sql(db.read(), "SELECT COUNT(*) AS n FROM jobs WHERE state = 'failed'", []);
    let dead = db.read().query_one_raw(count).await?;
    found.push(rules::dead(dead.map(|row| row.try_get("", "n")).transpose()?.unwrap_or_default()));
    Ok(())
}

async fn text(db: &Db, query: &str) -> Result<String> {
    let row = db.read().query_one_raw(sql(db.read(), query, [])).await?;
    Ok(row.map(|row| row.try_get("", "t")).transpose()?.unwrap_or_default())
}
