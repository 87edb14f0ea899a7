//! Checks every rule in one snapshot.

use sea_orm::ConnectionTrait;

use super::{bills, rules::RULES};
use crate::{app::App, base::error::Result, parking::lots, platform::db::sql};

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

/// Checks every rule in one snapshot of the live database.
///
/// # Errors
/// [`crate::Error::Unavailable`] when the database cannot be reached.
pub async fn check(app: &App) -> Result<Vec<Check>> {
    let tx = app.db.snapshot().await?;
    let available = lots::select(&lots::availability::free_now());
    let moment = lots::Moment::of(app).values();
    let mut checks = Vec::new();
    for (rule, text) in RULES {
        let text = text.replace("{AVAILABILITY}", &available);
        let values = if text.contains("$1") { moment.to_vec() } else { Vec::new() };
        let rows = tx.query_all_raw(sql(&tx, &format!("{text} LIMIT {LIMIT}"), values)).await?;
        let offenders = rows.iter().map(|row| row.try_get("", "offender")).collect::<Result<_, _>>()?;
        checks.push(Check { rule, offenders });
    }
    checks.push(Check {
        rule: "every ended session costs what its duration and rate give",
        offenders: bills::find_wrong(&tx, LIMIT).await?,
    });
    tx.rollback().await?;
    Ok(checks)
}
