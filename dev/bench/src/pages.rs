//! Response times of every page for operators, over a year of data.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bench::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
    testbed::Testbed,
};
use sea_orm::ConnectionTrait;
use shared::{
    operations::demo::{self, ADMIN, Plan, Size, Span},
    parking::accounts::{self, session},
    platform::db::{Engine, sql},
};

#[derive(clap::Args)]
pub struct Options {
    /// How far back the data goes: day, month or year.
    #[arg(long, default_value = "year")]
    span: Span,
    /// Spots in each of the 20 lots; 100 have about 1,000,000 reservations in a year.
    #[arg(long, default_value_t = 100)]
    spots: usize,
    /// Requests for each page.
    #[arg(long, default_value_t = 100)]
    requests: usize,
    /// A day of data and few requests: shows that every page answers.
    #[arg(long)]
    smoke: bool,
}

/// What operators see, and what attendants see of a lot.
const PAGES: [&str; 15] = [
    "/ui/admin",
    "/ui/admin/lots",
    "/ui/admin/lots/new",
    "/ui/admin/lots/1",
    "/ui/admin/users",
    "/ui/admin/users?after=9000",
    "/ui/admin/users?q=user-5%40parkade.test",
    "/ui/admin/reports",
    "/ui/admin/unpaid",
    "/ui/admin/jobs",
    "/ui/admin/deliveries",
    "/ui/admin/audit",
    "/ui/admin/health",
    "/ui/work",
    "/ui/work/lots/1",
];

/// Milliseconds for nearly every request, to the last byte.
const GOAL: f64 = 50.0;

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let (span, spots, requests) =
        if options.smoke { (Span::Day, 20, 5) } else { (options.span, options.spots, options.requests) };
    let testbed = Testbed::start(engine).await?;
    let app = &testbed.app;
    let plan = Plan::new(Size::Demo, span, 1, app.clock.now(), app.config.zone, 0);
    let loaded = demo::load(&app.db, &Plan { spots_per_lot: spots, ..plan }, "none", |_| {}).await?;
    let analyze = if engine == Engine::Postgres { "VACUUM ANALYZE" } else { "PRAGMA optimize" };
    app.db.write().execute_unprepared(analyze).await?;
    let admin = accounts::by_email(app, ADMIN).await?.context("the administrator is missing")?.id;
    let token = session::open(app, app.db.write(), admin, None).await?;
    let (_api, address) = testbed.api().await?;
    report.add(format!("{}: reservations", testbed.name()), f64_of(loaded.reservations), "", "");
    report.add(format!("{}: users", testbed.name()), count_users(&testbed).await?, "", "");
    let mut connection = Connection::open(&address).await?;
    for page in PAGES {
        let cookie = format!("cookie: parkade_session={token}\r\naccept: text/html\r\n");
        let request = request(&address, "GET", page, &cookie, "");
        let times = times(&mut connection, &request, requests).await.context(page)?;
        let (first, times) = (times[0], sorted(times));
        let note = format!("p50 {:.1} ms, first {first:.1} ms", percentile(&times, 0.5));
        let name = format!("{}: {page} p95", testbed.name());
        report.check_with(name, percentile(&times, 0.95), "ms", Goal::AtMost(GOAL), note);
    }
    Ok(())
}

/// How long each request took, in milliseconds.
async fn times(connection: &mut Connection, request: &[u8], count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let sent = Instant::now();
        let (status, _) = connection.send(request).await?;
        times.push(sent.elapsed().as_secs_f64() * 1000.0);
        ensure!(status == 200, "status {status}");
    }
    Ok(times)
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn f64_of(count: u64) -> f64 {
    count as f64
}

async fn count_users(testbed: &Testbed) -> Result<f64> {
    let db = testbed.app.db.read();
    let row = db.query_one_raw(sql(db, "SELECT COUNT(*) AS n FROM users", [])).await?;
    let count: i64 = row.context("no count")?.try_get("", "n")?;
    Ok(f64_of(count.unsigned_abs()))
}
