//! Bookings and releases over HTTP, compared with the same statements run by pgbench.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::{
    http::Connection,
    report::{Goal, Report, percentile, sorted},
    testbed::{Testbed, output},
};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use shared::{
    base::money::Money,
    parking::{
        accounts::session,
        audit::Actor,
        lots::{self, NewLot},
    },
    platform::{
        db::{Engine, sql},
        idempotency::Idempotency,
    },
};
use tokio::{process::Command, task::JoinSet};

#[derive(clap::Args)]
pub struct Options {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const CLIENTS: [usize; 3] = [1, 16, 64];
const LOTS: i64 = 20;

/// The statements of `book_spot` and `release_spot` as a pgbench script. A change there needs one here.
const SCRIPT: &str = include_str!("booking.sql");

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let tokens = prepare(&testbed).await?;
    let (api, address) = testbed.api().await?;
    let name = testbed.name();
    for clients in CLIENTS {
        let label = |what: &str| format!("{name}, {clients} clients: {what}");
        if engine == Engine::Postgres {
            let limit = pgbench(&testbed, clients, options.seconds).await?;
            report.add(label("pgbench, same statements"), limit, "flows/s", "");
            let stays = stays(&address, &tokens[..clients], options.seconds).await?;
            stays.add_to(report, &label);
            let (name, share) = (label("share of pgbench"), 100.0 * stays.rate / limit);
            match clients {
                16 => report.check(name, share, "%", Goal::AtLeast(60.0)),
                _ => report.add(name, share, "%", ""),
            }
        } else {
            let stays = stays(&address, &tokens[..clients], options.seconds).await?;
            stays.add_to(report, &label);
            if clients == 16 {
                report.check(label("the same, goal"), stays.rate, "flows/s", Goal::AtLeast(1000.0));
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a size")]
    let peak = api.memory()?.peak_bytes as f64 / f64::from(1 << 20);
    report.add(format!("{name}: API memory"), peak, "MiB", "peak");
    testbed.check_integrity().await
}

/// Lots with room for everybody. Returns the tokens of 64 logged-in users.
async fn prepare(testbed: &Testbed) -> Result<Vec<String>> {
    let app = &testbed.app;
    for number in 1..=LOTS {
        let (location_name, price) = (format!("Lot {number}"), Money::from_minor(2500));
        let lot =
            NewLot { location_name, price, address: "A".into(), pincode: "1".into(), number_of_slots: 300 };
        lots::create(app, &Actor::COMMAND_LINE, lot, Idempotency::none()).await?;
    }
    let mut tokens = Vec::new();
    let tx = app.db.begin().await?;
    for number in 1..=64_i64 {
        let email = format!("user{number}@example.com");
        let text =
            "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
                    VALUES ($1, $1, $1, $1, 'none', 'user', $2) RETURNING id";
        let row = tx.query_one_raw(sql(&tx, text, [email.into(), app.clock.now().into()])).await?;
        let id = row.context("no id")?.try_get("", "id")?;
        tokens.push(session::open(app, &tx, id, None).await?);
    }
    tx.commit().await?;
    Ok(tokens)
}

/// Stays, each booked and then released, by some clients at the same time.
struct Stays {
    /// Stays per second.
    rate: f64,
    /// How long single requests took, in milliseconds, sorted.
    times: Vec<f64>,
    /// Requests rejected for lack of capacity.
    rejected: usize,
}

impl Stays {
    fn add_to(&self, report: &mut Report, label: &impl Fn(&str) -> String) {
        let note = if self.rejected == 0 { String::new() } else { format!("{} rejected", self.rejected) };
        report.add(label("book and release"), self.rate, "flows/s", note);
        for (share, what) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
            report.add(label(&format!("{what} of a request")), percentile(&self.times, share), "ms", "");
        }
    }
}

async fn stays(address: &str, tokens: &[String], seconds: u64) -> Result<Stays> {
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let mut clients = JoinSet::new();
    for token in tokens {
        let connection = Connection::open(address).await?;
        let mut client = Client { connection, token: token.clone(), times: Vec::new(), rejected: 0 };
        clients.spawn(async move {
            while Instant::now() < end {
                client.stay().await?;
            }
            anyhow::Ok(client)
        });
    }
    let (mut times, mut rejected) = (Vec::new(), 0);
    while let Some(done) = clients.join_next().await {
        let client = done??;
        times.extend(client.times);
        rejected += client.rejected;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = times.len() as f64 / 2.0 / started.elapsed().as_secs_f64();
    Ok(Stays { rate, times: sorted(times), rejected })
}

struct Client {
    connection: Connection,
    token: String,
    times: Vec<f64>,
    rejected: usize,
}

impl Client {
    async fn stay(&mut self) -> Result<()> {
        let lot = rand::random_range(1..=LOTS);
        let answer = self.post("/api/booking/book-spot", &format!("{{\"lot_id\":{lot}}}"), 201).await?;
        let id = answer["reservation"]["id"].as_i64().context("a reservation without an id")?;
        let body =
            format!("{{\"reservation_id\":{id},\"payment_method\":\"card\",\"transaction_id\":\"TXN{id}\"}}");
        self.post("/api/booking/release-spot", &body, 200).await?;
        Ok(())
    }

    /// Repeats the request until it is not rejected for lack of capacity.
    async fn post(&mut self, path: &str, body: &str, expected: u16) -> Result<Value> {
        loop {
            let sent = Instant::now();
            let (status, answer) = self.connection.post(path, &self.token, body).await?;
            if status == 503 {
                self.rejected += 1;
                continue;
            }
            self.times.push(sent.elapsed().as_secs_f64() * 1000.0);
            ensure!(status == expected, "{path}: status {status}: {answer}");
            return Ok(serde_json::from_str(&answer)?);
        }
    }
}

/// Runs of the script per second.
async fn pgbench(testbed: &Testbed, clients: usize, seconds: u64) -> Result<f64> {
    let postgres = testbed.postgres.as_ref().context("PostgreSQL is not running")?;
    let script = testbed.path("booking.sql");
    std::fs::write(&script, SCRIPT)?;
    let mut command = Command::new(postgres.bin("pgbench"));
    command.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string(), "-T", &seconds.to_string()]);
    let text = output(command.arg("-f").arg(&script).arg(postgres.url("parkade"))).await?;
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rate| rate.split_whitespace().next());
    Ok(rate.with_context(|| format!("pgbench printed no rate:\n{text}"))?.parse()?)
}
