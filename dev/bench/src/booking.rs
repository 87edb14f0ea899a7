//! Book and release over HTTP, as fast as some clients can, beside the same statements by pgbench.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sea_orm::ConnectionTrait;
use shared::{
    base::money::Money,
    parking::{
        accounts::session,
        lots::{self, NewLot},
    },
    platform::{
        db::{Engine, sql},
        idempotency::Idempotency,
    },
};
use tokio::{process::Command, task::JoinSet};

use crate::{
    http::Connection,
    report::{Goal, Report, percentile, sorted},
    stage::{Stage, output},
};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const CLIENTS: [usize; 3] = [1, 16, 64];
const LOTS: i64 = 20;

/// What `bookings::book_spot` and `bookings::release_spot` execute, for pgbench. Kept in step by hand.
const STATEMENTS: &str = include_str!("booking.sql");

/// Takes all figures on one database.
pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let stage = Stage::set(engine).await?;
    let tokens = prepare(&stage).await?;
    let (api, address) = stage.api().await?;
    let name = stage.name();
    for clients in CLIENTS {
        let limit = match engine {
            Engine::Postgres => Some(pgbench(&stage, clients, options.seconds).await?),
            Engine::Sqlite => None,
        };
        let (rate, times) = flows(&address, &tokens[..clients], options.seconds).await?;
        let label = format!("{name}, {clients} clients");
        if let Some(limit) = limit {
            report.add(format!("{label}: pgbench, same statements"), limit, "flows/s", "");
        }
        match (engine, limit) {
            (Engine::Sqlite, _) if clients == 16 => {
                report.check(format!("{label}: book and release"), rate, "flows/s", Goal::AtLeast(1000.0));
            }
            _ => report.add(format!("{label}: book and release"), rate, "flows/s", ""),
        }
        if let Some(limit) = limit {
            let label = format!("{label}: share of pgbench");
            if clients == 16 {
                report.check(label, 100.0 * rate / limit, "%", Goal::AtLeast(60.0));
            } else {
                report.add(label, 100.0 * rate / limit, "%", "");
            }
        }
        for (share, what) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
            report.add(format!("{label}: {what} of a request"), percentile(&times, share), "ms", "");
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    report.add(
        format!("{name}: API memory"),
        api.memory()?.peak_bytes as f64 / f64::from(1 << 20),
        "MiB",
        "peak",
    );
    stage.check().await
}

/// Lots with room for everybody, and users who are logged in.
async fn prepare(stage: &Stage) -> Result<Vec<String>> {
    let app = &stage.app;
    for number in 1..=LOTS {
        let location_name = format!("Lot {number}");
        let price = Money::from_minor(2500);
        let lot =
            NewLot { location_name, price, address: "A".into(), pincode: "1".into(), number_of_slots: 300 };
        lots::create(app, lot, Idempotency::none()).await?;
    }
    let mut tokens = Vec::new();
    let tx = app.db.begin().await?;
    for number in 1..=64_i64 {
        let email = format!("user{number}@example.com");
        let text =
            "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
                    VALUES ($1, $1, $1, $1, 'none', 'user', $2) RETURNING id";
        let row = tx
            .query_one_raw(sql(&tx, text, [email.into(), app.clock.now().into()]))
            .await?
            .context("a row")?;
        tokens.push(session::open(app, &tx, row.try_get("", "id")?, None).await?);
    }
    tx.commit().await?;
    Ok(tokens)
}

/// Flows a second, and the sorted times of single requests in milliseconds.
async fn flows(address: &str, tokens: &[String], seconds: u64) -> Result<(f64, Vec<f64>)> {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let mut clients = JoinSet::new();
    for token in tokens {
        let (address, token) = (Arc::<str>::from(address), token.clone());
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut times = Vec::new();
            while Instant::now() < end {
                let lot = rand::random_range(1..=LOTS);
                let body = format!("{{\"lot_id\":{lot}}}");
                let answer =
                    timed(&mut connection, &mut times, "/api/booking/book-spot", &token, &body, 201).await?;
                let id = answer["reservation"]["id"].as_i64().context("an id")?;
                let body = format!(
                    "{{\"reservation_id\":{id},\"payment_method\":\"card\",\"transaction_id\":\"TXN{id}\"}}"
                );
                timed(&mut connection, &mut times, "/api/booking/release-spot", &token, &body, 200).await?;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = clients.join_next().await {
        times.extend(done??);
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = times.len() as f64 / 2.0 / begun.elapsed().as_secs_f64();
    Ok((rate, sorted(times)))
}

async fn timed(
    connection: &mut Connection,
    times: &mut Vec<f64>,
    path: &str,
    token: &str,
    body: &str,
    expected: u16,
) -> Result<serde_json::Value> {
    let begun = Instant::now();
    let (status, body) = connection.post(path, token, body).await?;
    times.push(begun.elapsed().as_secs_f64() * 1000.0);
    ensure!(status == expected, "{path} answered {status}: {body}");
    Ok(serde_json::from_str(&body)?)
}

/// Flows a second of the bare statements.
async fn pgbench(stage: &Stage, clients: usize, seconds: u64) -> Result<f64> {
    let postgres = stage.postgres.as_ref().context("PostgreSQL")?;
    let script = stage.path("booking.sql");
    std::fs::write(&script, STATEMENTS)?;
    let text = output(
        Command::new(postgres.bin("pgbench"))
            .args([
                "-n",
                "-M",
                "prepared",
                "-j",
                "2",
                "-c",
                &clients.to_string(),
                "-T",
                &seconds.to_string(),
                "-f",
            ])
            .arg(&script)
            .arg(postgres.url("parkade")),
    )
    .await?;
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")).context("tps")?;
    Ok(rate.split_whitespace().next().context("tps")?.parse()?)
}
