//! Is the data sound? Rules that hold at every instant, checked on live data as of one instant.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    app::App,
    base::{error::Result, money::Money},
    parking::bookings::billing,
    platform::db::{Transaction, sql},
};

/// A rule and what breaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What holds.
    pub rule: &'static str,
    /// Rows that say otherwise, the first hundred.
    pub offenders: Vec<String>,
}

/// More offenders than anybody reads.
const MOST: usize = 100;

/// Rules that a query can check: it lists the offenders.
const RULES: [(&str, &str); 12] = [
    (
        "no two reservations hold a spot at the same instant",
        "SELECT 'reservation ' || id AS offender FROM (
            SELECT id, starts_at, LAG(ends_at) OVER spot AS ended, LAG(id) OVER spot AS before
            FROM reservations WHERE state IN ('reserved', 'active')
            WINDOW spot AS (PARTITION BY spot_id ORDER BY starts_at, id)
         ) live WHERE before IS NOT NULL AND (ended IS NULL OR ended > starts_at)",
    ),
    (
        "no two sessions, past or running, were on a spot at the same instant",
        "SELECT 'reservation ' || id AS offender FROM (
            SELECT id, arrived_at, LAG(left_at) OVER spot AS gone, LAG(id) OVER spot AS before
            FROM reservations WHERE arrived_at IS NOT NULL
            WINDOW spot AS (PARTITION BY spot_id ORDER BY arrived_at, id)
         ) sessions WHERE before IS NOT NULL AND (gone IS NULL OR gone > arrived_at)",
    ),
    (
        "no user and no spot has two active sessions",
        "SELECT 'user ' || user_id AS offender FROM reservations WHERE state = 'active' GROUP BY user_id HAVING COUNT(*) > 1
         UNION ALL
         SELECT 'spot ' || spot_id FROM reservations WHERE state = 'active' GROUP BY spot_id HAVING COUNT(*) > 1",
    ),
    (
        "what can be booked is what rows leave free",
        "SELECT 'lot ' || l.id AS offender FROM lots l
         LEFT JOIN (
            SELECT s.lot_id, COUNT(*) AS free FROM spots s
            LEFT JOIN (SELECT DISTINCT spot_id FROM reservations WHERE state IN ('reserved', 'active')) held ON held.spot_id = s.id
            WHERE s.retired_at IS NULL AND NOT s.retiring AND held.spot_id IS NULL GROUP BY s.lot_id
         ) counted ON counted.lot_id = l.id
         JOIN ({AVAILABILITY}) shown ON shown.id = l.id
         WHERE shown.available_slots <> COALESCE(counted.free, 0) OR shown.available_slots < 0",
    ),
    (
        "a lot has as many spots in service as it says",
        "SELECT 'lot ' || l.id AS offender FROM lots l LEFT JOIN spots s ON s.lot_id = l.id AND s.retired_at IS NULL AND NOT s.retiring
         WHERE l.archived_at IS NULL GROUP BY l.id, l.number_of_slots HAVING COUNT(s.id) <> l.number_of_slots",
    ),
    (
        "no spot is without its lot",
        "SELECT 'spot ' || s.id AS offender FROM spots s LEFT JOIN lots l ON l.id = s.lot_id WHERE l.id IS NULL",
    ),
    (
        "a reservation has its user, and its spot in its lot",
        "SELECT 'reservation ' || r.id AS offender FROM reservations r
         LEFT JOIN spots s ON s.id = r.spot_id LEFT JOIN users u ON u.id = r.user_id
         WHERE s.id IS NULL OR s.lot_id <> r.lot_id OR u.id IS NULL",
    ),
    (
        "nobody holds a spot that is out of service",
        "SELECT 'reservation ' || r.id AS offender FROM reservations r
         JOIN spots s ON s.id = r.spot_id JOIN lots l ON l.id = r.lot_id
         WHERE r.state IN ('reserved', 'active') AND (s.retired_at IS NOT NULL OR l.archived_at IS NOT NULL)",
    ),
    (
        "a deleted user holds no spot and has no open session",
        "SELECT 'user ' || u.id AS offender FROM users u WHERE u.deleted_at IS NOT NULL AND (
            EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = u.id AND r.state IN ('reserved', 'active'))
            OR EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.ended_at IS NULL))",
    ),
    (
        "an export job has its export",
        "SELECT 'job ' || j.payload AS offender FROM jobs j LEFT JOIN exports e ON e.id = j.id
         WHERE j.kind = 'export-csv' AND e.id IS NULL",
    ),
    (
        "a mail about a reservation has its reservation",
        "SELECT j.kind || ' ' || j.unique_key AS offender FROM jobs j
         LEFT JOIN reservations r ON CAST(r.id AS TEXT) = j.unique_key
         WHERE j.kind IN ('send-confirmation', 'send-receipt') AND r.id IS NULL",
    ),
    (
        "a mail to a user has its user",
        "SELECT j.kind || ' ' || COALESCE(j.unique_key, '') AS offender FROM jobs j LEFT JOIN users u ON u.id = j.owner_id
         WHERE j.queue = 'mail' AND j.kind LIKE 'send-%' AND u.id IS NULL",
    ),
];

/// Checks every rule.
///
/// # Errors
/// Those of the database.
pub async fn check(app: &App) -> Result<Vec<Check>> {
    let tx = app.db.snapshot().await?;
    let mut checks = Vec::new();
    for (rule, text) in RULES {
        let text = text.replace("{AVAILABILITY}", crate::parking::lots::SELECT);
        let rows = tx.query_all_raw(sql(&tx, &format!("{text} LIMIT {MOST}"), [])).await?;
        let offenders: Result<_, _> = rows.iter().map(|row| row.try_get("", "offender")).collect();
        checks.push(Check { rule, offenders: offenders? });
    }
    checks.push(Check {
        rule: "an ended session costs what its times and its rate give",
        offenders: wrong_bills(&tx).await?,
    });
    tx.rollback().await?;
    Ok(checks)
}

#[derive(FromQueryResult)]
struct Bill {
    id: i64,
    arrived_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    hourly_rate_minor: i64,
    cost_minor: i64,
}

impl Bill {
    fn is_right(&self) -> bool {
        self.arrived_at.zip(self.left_at).is_some_and(|(arrived, left)| {
            let hours = billing::charged_hours(arrived, left);
            billing::cost(Money::from_minor(self.hourly_rate_minor), hours).minor() == self.cost_minor
        })
    }
}

/// Bills are computed again by the rule itself, page by page.
async fn wrong_bills(tx: &Transaction) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut last = i64::MIN;
    while wrong.len() < MOST {
        let text = "SELECT id, arrived_at, left_at, hourly_rate_minor, cost_minor FROM reservations
             WHERE state = 'completed' AND id > $1 ORDER BY id LIMIT 5000";
        let bills = Bill::find_by_statement(sql(tx, text, [last.into()])).all(tx).await?;
        let Some(end) = bills.last() else { break };
        last = end.id;
        wrong.extend(
            bills.iter().filter(|bill| !bill.is_right()).map(|bill| format!("reservation {}", bill.id)),
        );
    }
    wrong.truncate(MOST);
    Ok(wrong)
}
