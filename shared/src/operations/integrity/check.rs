//! Checks every rule in one snapshot.

use std::{pin::pin, time::Duration};

use sea_orm::ConnectionTrait;
use tokio::time::{Instant, Interval};

use super::{bills, rules::RULES};
use crate::{
    app::App,
    base::error::Result,
    parking::lots,
    platform::db::{Transaction, sql},
};

/// Offenders listed per rule.
const LIMIT: usize = 100;

/// The result of checking a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What must hold.
    pub rule: &'static str,
    /// The first hundred rows that violate it.
    pub offenders: Vec<String>,
}

/// How often a check that takes long logs where it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The rule that is checked in code.
const BILLS: &str = "every ended session costs what its duration and tariff give";

/// Checks every rule in one snapshot of the live database.
///
/// # Errors
/// [`crate::Error::Unavailable`] when the database cannot be reached.
pub async fn check(app: &App) -> Result<Vec<Check>> {
    let tx = app.db.snapshot().await?;
    let mut progress = Progress::start();
    let mut checks = Vec::new();
    for (rule, text) in RULES {
        let offenders = progress.follow(rule, find_offenders(app, &tx, text)).await?;
        checks.push(Check { rule, offenders });
    }
    let offenders = progress.follow(BILLS, bills::find_wrong(&tx, LIMIT)).await?;
    checks.push(Check { rule: BILLS, offenders });
    tx.rollback().await?;
    Ok(checks)
}

async fn find_offenders(app: &App, tx: &Transaction, text: &str) -> Result<Vec<String>> {
    let text = text.replace("{AVAILABILITY}", &lots::select(&lots::availability::free_now()));
    let values = if text.contains("$1") { lots::Moment::of(app).values().to_vec() } else { Vec::new() };
    let rows = tx.query_all_raw(sql(tx, &format!("{text} LIMIT {LIMIT}"), values)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "offender")).collect::<Result<_, _>>()?)
}

/// Logs what is being checked.
struct Progress {
    ticks: Interval,
    rule: usize,
}

impl Progress {
    fn start() -> Self {
        let ticks = tokio::time::interval_at(Instant::now() + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
        Self { ticks, rule: 0 }
    }

    async fn follow<T>(&mut self, rule: &str, checking: impl Future<Output = T>) -> T {
        self.rule += 1;
        let mut checking = pin!(checking);
        loop {
            tokio::select! {
                found = &mut checking => return found,
                _ = self.ticks.tick() => {
                    tracing::info!("checking rule {} of {}: {rule}", self.rule, RULES.len() + 1);
                }
            }
        }
    }
}
