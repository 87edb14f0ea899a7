//! Bookings and releases over HTTP, compared with the same statements run by pgbench.

use anyhow::{Context, Result};
use bench::{
    report::{Goal, Report},
    testbed::{Testbed, output},
};
use sea_orm::ConnectionTrait;
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
use tokio::process::Command;

use crate::stays::{LOTS, stays};

#[derive(clap::Args)]
pub struct Options {
    /// Seconds per measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const CLIENTS: [usize; 3] = [1, 16, 64];

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
pub async fn prepare(testbed: &Testbed) -> Result<Vec<String>> {
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
