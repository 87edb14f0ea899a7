//! How fast the audit table is linked into its chain, and how fast the chain is verified.

use std::time::Instant;

use anyhow::{Result, ensure};
use bench::{
    report::{Goal, Report},
    testbed::Testbed,
};
use sea_orm::ConnectionTrait;
use shared::{
    parking::audit,
    platform::db::{Engine, at, sql},
};

#[derive(clap::Args)]
pub struct Options {
    /// Entries of the audit table.
    #[arg(long, default_value_t = 1_000_000)]
    entries: i64,
}

/// Entries of a statement.
const BATCH: i64 = 50_000;

const INSERT: &str =
    "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1)
    INSERT INTO audit (at, actor_id, origin, action, object_kind, object_id, details)
    SELECT $2, i % 1000, '203.0.113.7', 'logged_in', 'user', i % 1000, '{\"second_factor\":false}' FROM n";

#[expect(clippy::cast_precision_loss, reason = "a number of rows")]
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let (app, db) = (&testbed.app, testbed.app.db.write());
    let mut left = options.entries;
    while left > 0 {
        let rows = left.min(BATCH);
        db.execute_raw(sql(db, INSERT, [rows.into(), at(app.clock.now())])).await?;
        left -= rows;
    }
    let label = |what: &str| format!("{}: {what}", testbed.name());
    let begun = Instant::now();
    let linked = audit::link_pending(app).await? as f64;
    report.add(label("linking"), linked / begun.elapsed().as_secs_f64(), "entries/s", "");
    let begun = Instant::now();
    let verdict = audit::verify(app, &[]).await?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(verdict.broken.is_none() && verdict.entries as f64 == linked, "{verdict:?}");
    report.add(label("verifying"), linked / took, "entries/s", "");
    report.check(label("verifying all of them"), took, "s", Goal::AtMost(10.0));
    Ok(())
}
