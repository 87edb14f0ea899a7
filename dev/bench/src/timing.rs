//! Whether response times tell which mail addresses have an account: logins with a wrong password, and requests for a new
//! one, for known and unknown addresses in turn.

use std::time::Instant;

use anyhow::{Result, ensure};
use bench::{
    http::{Connection, request},
    report::{Goal, Report, percentile, sorted},
    testbed::Testbed,
};
use rand::Rng;
use serde_json::json;
use shared::platform::db::Engine;

#[derive(clap::Args)]
pub struct Options {
    /// Calls of each kind for known addresses, and as many for unknown ones.
    #[arg(long, default_value_t = 2000)]
    calls: usize,
}

/// Addresses of each kind.
const ADDRESSES: usize = 20;

/// A call whose time is measured: its name, path and expected status, and whether it sends a password.
const CALLS: [(&str, &str, u16, bool); 2] =
    [("login", "/api/auth/login", 401, true), ("reset", "/api/auth/forgot-password", 202, false)];

pub async fn measure(engine: Engine, options: &Options, report: &mut Report) -> Result<()> {
    let testbed = Testbed::start(engine).await?;
    let (_api, address) = testbed.api().await?;
    let mut connection = Connection::open(&address).await?;
    for number in 0..ADDRESSES {
        let body = json!({ "username": format!("User {number}"), "email": mail(true, number), "password": "Correct-horse-1" });
        let (status, body) = connection.post("/api/auth/register", "", &body.to_string()).await?;
        ensure!(status == 201, "registering: {status} {body}");
    }
    for call in CALLS {
        let mut times = [Vec::new(), Vec::new()];
        for number in 0..options.calls {
            // In random order, so that neither profits from being the second.
            let first = rand::rng().random::<bool>();
            for known in [first, !first] {
                times[usize::from(known)].push(time(&mut connection, &address, call, known, number).await?);
            }
        }
        let [unknown, known] = times.map(|times| percentile(&sorted(times), 0.5));
        let label = |what: &str| format!("{}, {}: {what}", testbed.name(), call.0);
        report.add(label("known address"), known, "ms", "median");
        report.add(label("unknown address"), unknown, "ms", "median");
        report.check(label("difference"), (known - unknown).abs(), "ms", Goal::AtMost(1.0));
    }
    Ok(())
}

fn mail(known: bool, number: usize) -> String {
    format!("{}{}@example.com", if known { "user" } else { "else" }, number % ADDRESSES)
}

/// How long a call takes, in milliseconds.
async fn time(
    connection: &mut Connection,
    host: &str,
    (_, path, expected, has_password): (&str, &str, u16, bool),
    known: bool,
    number: usize,
) -> Result<f64> {
    let mut body = json!({ "email": mail(known, number) });
    if has_password {
        body["password"] = "Wrong-horse-99".into();
    }
    let request = request(host, "POST", path, "", &body.to_string());
    let begun = Instant::now();
    let (status, body) = connection.send(&request).await?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    ensure!(status == expected, "{path}: {status} {}", String::from_utf8_lossy(body));
    Ok(took)
}
