//! A big export by the worker process, beside a bare copy of the same rows by the database's own tool.

use std::{process::Stdio, time::Instant};

use anyhow::{Context, Result, ensure};
use shared::{
    base::identity::Identity,
    operations::demo::{self, Plan, Size, Span},
    parking::{
        accounts,
        bookings::history::Filter,
        exports::{self, Stage as ExportStage},
    },
    platform::{db::Engine, idempotency::Idempotency},
};
use tokio::process::Command;

use crate::{
    report::{Goal, Report, percentile, sorted},
    stage::Stage,
};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Rows of the exported user.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// How often each side runs; the medians are compared.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Takes all figures on one database.
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let stage = Stage::set(engine).await?;
    let app = &stage.app;
    let plan = Plan::new(Size::Small, Span::Day, 1, app.clock.now(), app.config.zone, options.rows);
    demo::load(&app.db, &plan, "not a hash: nobody logs in", |_| {}).await?;
    let driver = accounts::by_email(app, "driver@parkade.test").await?.context("the heavy user")?;
    let who = Identity { user_id: driver.id, is_admin: false, session_id: uuid::Uuid::nil() };
    let query = Filter { user_id: Some(driver.id), ..Filter::default() }.query(engine);
    let worker = stage.worker()?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let idle = worker.memory()?.rss_bytes;

    let (mut ours, mut bare, mut rows) = (Vec::new(), Vec::new(), 0);
    for _ in 0..options.runs {
        bare.push(bare_copy(&stage, &query).await?);
        let begun = Instant::now();
        let id = exports::request(app, &who, exports::Request::default(), Idempotency::none()).await?;
        rows = loop {
            let export = exports::find(app, &who, id).await?;
            match export.stage(app.clock.now()) {
                ExportStage::Ready => break export.row_count.unwrap_or(0),
                ExportStage::Underway(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                other => anyhow::bail!("the export ended as {other:?}:\n{}", worker.log()),
            }
        };
        ours.push(begun.elapsed().as_secs_f64());
    }
    ensure!(u64::try_from(rows)? >= options.rows, "only {rows} rows were exported");
    let (ours, bare) = (percentile(&sorted(ours), 0.5), percentile(&sorted(bare), 0.5));
    let (tool, times) = match engine {
        Engine::Postgres => ("COPY (same query) TO STDOUT", 2.0),
        Engine::Sqlite => ("sqlite3 -csv, same query", 3.0),
    };
    let name = stage.name();
    #[expect(clippy::cast_precision_loss, reason = "figures")]
    {
        report.add(format!("{name}: {tool}"), bare, "s", format!("{rows} rows, median of {}", options.runs));
        report.add(
            format!("{name}: export, request to ready"),
            ours,
            "s",
            format!("{:.0} rows/s", rows as f64 / ours),
        );
        report.check(format!("{name}: export / bare copy"), ours / bare, "x", Goal::AtMost(times));
        let more = worker.memory()?.peak_bytes.saturating_sub(idle) as f64 / f64::from(1 << 20);
        report.check(format!("{name}: worker's peak memory above idle"), more, "MiB", Goal::AtMost(16.0));
    }
    stage.check().await
}

/// Seconds that the database's own tool takes to write the same rows into a file.
async fn bare_copy(stage: &Stage, query: &str) -> Result<f64> {
    let file = std::fs::File::create(stage.path("bare.csv"))?;
    let mut command = match &stage.postgres {
        Some(postgres) => {
            let mut psql = Command::new(postgres.bin("psql"));
            psql.args(["-X", "-q", &postgres.url("parkade"), "-c", &format!("COPY ({query}) TO STDOUT")]);
            psql
        }
        None => {
            let mut sqlite = Command::new("sqlite3");
            sqlite.arg("-csv").arg(stage.path("parkade.db")).arg(query);
            sqlite
        }
    };
    let begun = Instant::now();
    let status = command
        .stdout(Stdio::from(file))
        .status()
        .await
        .context("the database's own tool; install sqlite3")?;
    ensure!(status.success(), "{command:?} failed");
    Ok(begun.elapsed().as_secs_f64())
}
