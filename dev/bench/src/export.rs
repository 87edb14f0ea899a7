//! Large exports in each format by the worker process, compared with a plain copy of the same rows by the database's own tool.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bench::{
    report::{Goal, Report, percentile, sorted},
    testbed::Testbed,
};
use shared::{
    app::App,
    base::identity::Identity,
    operations::demo::{self, DRIVER, Plan, Size, Span},
    parking::{
        accounts,
        bookings::history::Filter,
        exports::{self, Stage},
    },
    platform::{db::Engine, entities::export::Format, idempotency::Idempotency},
};
use tokio::process::Command;

/// A workbook is some 800 MB of XML for a million rows, which are compressed.
const MOST_FOR_WORKBOOKS: f64 = 20.0;

#[derive(clap::Args)]
pub struct Options {
    /// Rows of the exported user.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Runs of each side; their medians are compared.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let app = &testbed.app;
    let plan = Plan::new(Size::Small, Span::Day, 1, app.clock.now(), app.config.zone, options.rows);
    demo::load(&app.db, &plan, "no password", |_| {}).await?;
    let driver = accounts::by_email(app, DRIVER).await?.context("the heavy user is missing")?;
    let identity = Identity {
        user_id: driver.id,
        is_admin: false,
        must_enrol: false,
        is_attendant: false,
        session_id: uuid::Uuid::nil(),
        address: None,
    };
    let query = Filter { user_id: Some(driver.id), ..Filter::default() }.query(engine);
    let worker = testbed.worker()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = worker.memory()?.rss_bytes;

    let mut copies = Vec::new();
    for _ in 0..options.runs {
        copies.push(copy(&testbed, &query).await?);
    }
    let limit = percentile(&sorted(copies), 0.5);
    let (tool, most) = match engine {
        Engine::Postgres => ("COPY (same query) TO STDOUT", 2.0),
        Engine::Sqlite => ("sqlite3 -csv, same query", 3.0),
    };
    let label = |what: &str| format!("{}: {what}", testbed.name());
    report.add(label(tool), limit, "s", format!("median of {}", options.runs));
    // The peak of memory only grows, so the smaller one is measured first.
    for (format, most, most_memory) in [(Format::Csv, most, 16.0), (Format::Xlsx, MOST_FOR_WORKBOOKS, 64.0)] {
        let mut seconds = Vec::new();
        for _ in 0..options.runs {
            let started = Instant::now();
            let rows = export(app, &identity, format).await.with_context(|| worker.log())?;
            seconds.push(started.elapsed().as_secs_f64());
            ensure!(u64::try_from(rows)? >= options.rows, "only {rows} rows were exported");
        }
        let (seconds, name) = (percentile(&sorted(seconds), 0.5), format.as_str());
        #[expect(clippy::cast_precision_loss, reason = "a rate and a size")]
        let (rate, above_idle) = (
            options.rows as f64 / seconds,
            worker.memory()?.peak_bytes.saturating_sub(idle) as f64 / f64::from(1 << 20),
        );
        report.add(label(&format!("{name}, requested to ready")), seconds, "s", format!("{rate:.0} rows/s"));
        report.check(
            label(&format!("{name} / the database's tool")),
            seconds / limit,
            "x",
            Goal::AtMost(most),
        );
        let memory = label(&format!("{name}: worker's peak memory above idle"));
        report.check(memory, above_idle, "MiB", Goal::AtMost(most_memory));
    }
    testbed.check_integrity().await
}

/// Exports everything of a user, and returns the number of rows.
async fn export(app: &App, who: &Identity, format: Format) -> Result<i64> {
    let request = exports::Request { format, ..Default::default() };
    let id = exports::request(app, who, request, Idempotency::none()).await?;
    loop {
        let export = exports::find(app, who, id).await?;
        match export.stage(app.clock.now()) {
            Stage::Ready => return Ok(export.row_count.unwrap_or(0)),
            Stage::Underway(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            other => bail!("the export ended as {other:?}"),
        }
    }
}

/// Seconds that the database's own tool takes to write the same rows to a file.
async fn copy(testbed: &Testbed, query: &str) -> Result<f64> {
    let file = std::fs::File::create(testbed.path("copy.csv"))?;
    let mut command = match &testbed.postgres {
        Some(postgres) => {
            let mut psql = Command::new(postgres.bin("psql"));
            psql.args(["-X", "-q", &postgres.url("parkade"), "-c", &format!("COPY ({query}) TO STDOUT")]);
            psql
        }
        None => {
            let mut sqlite = Command::new("sqlite3");
            sqlite.arg("-csv").arg(testbed.path("parkade.db")).arg(query);
            sqlite
        }
    };
    let started = Instant::now();
    let status = command.stdout(Stdio::from(file)).status().await;
    let status = status.with_context(|| format!("cannot run {command:?}; is it installed?"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(started.elapsed().as_secs_f64())
}
