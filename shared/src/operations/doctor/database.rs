//! The doctor's look at the database.

use chrono::{DateTime, Utc};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, sqlx};
use secrecy::ExposeSecret;

use super::rules::{self, Postgres, Verdict, ok, problem};
use crate::{
    base::{clock::Clock, error::Result},
    jobs::control,
    platform::{
        config::{Config, Environment},
        db::{Db, Engine, sql},
    },
};

pub(super) async fn look(config: &Config, clock: &Clock) -> Vec<Verdict> {
    let url = config.database_url.expose_secret();
    if crate::operations::backup::is_missing(url) {
        let what = "there is no database file yet";
        return vec![rules::warning(
            what,
            "parkade-api migrate up makes it; check DATABASE_URL and the working directory",
        )];
    }
    let away = |error: crate::Error| {
        let advice = "check that the database runs, and DATABASE_URL; docs/OPERATIONS.md has more";
        problem(format!("it cannot be used: {}", error.chain()), advice)
    };
    let db = match Db::connect(url, 1).await {
        Ok(db) => db,
        Err(error) => return vec![away(error)],
    };
    let mut found = Vec::new();
    if let Err(error) = examine(config, clock, &db, &mut found).await {
        found.push(away(error));
    }
    db.close().await;
    found
}

async fn examine(config: &Config, clock: &Clock, db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    found.push(ok(format!("{} {}", db.engine().name(), db.version().await?)));
    let applied = applied(db).await?;
    let known: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    let is_whole = applied == known;
    found.push(rules::schema(&applied, &known));
    match db.engine() {
        Engine::Sqlite => {
            let journal: String = text(db, "SELECT journal_mode AS t FROM pragma_journal_mode").await?;
            found.push(rules::sqlite(&journal, config.environment == Environment::Production));
        }
        Engine::Postgres => {
            let setting = |name: &str| format!("SELECT current_setting('{name}') AS t");
            let server = Postgres {
                is_safe: text(db, &setting("fsync")).await? == "on"
                    && text(db, &setting("full_page_writes")).await? == "on",
                waits_for_disk: text(db, &setting("synchronous_commit")).await? != "off",
                connections: text(db, &setting("max_connections")).await?.parse().unwrap_or_default(),
            };
            let per_process = config.database_connections + config.database_connections.div_ceil(2);
            found.extend(rules::postgres(server, per_process));
            let pool = db.read().postgres_pool();
            let theirs: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()")
                .fetch_one(&pool)
                .await
                .map_err(|error| anyhow::Error::new(error).context("the clock of PostgreSQL"))?;
            found.push(rules::clock("PostgreSQL", (theirs - clock.now()).num_milliseconds()));
        }
    }
    if is_whole {
        jobs(clock, db, found).await?;
    }
    Ok(())
}

/// The migrations that were applied; none in a database that is new.
async fn applied(db: &Db) -> Result<Vec<String>> {
    let rows = db
        .read()
        .query_all_raw(sql(db.read(), "SELECT version AS t FROM seaql_migrations ORDER BY version", []))
        .await;
    let Ok(rows) = rows else { return Ok(Vec::new()) };
    Ok(rows.iter().map(|row| row.try_get("", "t")).collect::<std::result::Result<_, _>>()?)
}

async fn jobs(clock: &Clock, db: &Db, found: &mut Vec<Verdict>) -> Result<()> {
    let now = clock.now();
    for waiting in control::list_backlogs(db, now).await? {
        found.push(rules::backlog(&waiting.queue, waiting.jobs, (now - waiting.oldest).num_seconds()));
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
