//! The kinds of work that are compared, each as a function of a system.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::{
    http::{Connection, request},
    report::{percentile, sorted},
};
use serde_json::json;

use super::system::{System, send};
use crate::{
    load::{Load, clients},
    stays::stays,
};

/// Clients of the flows and of logins.
pub const FEW: usize = 16;
/// Clients of reads.
pub const MANY: usize = 64;

/// Without an accepted mail for this long, mails are considered lost.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// What users with tokens do with one system.
pub struct Users {
    pub ids: Vec<i64>,
    pub tokens: Vec<String>,
    pub admin: String,
}

pub async fn list(system: &System, _: &Users, duration: Duration) -> Result<Load> {
    clients(
        &system.address,
        &vec![request(&system.address, "GET", "/api/parking-lots", "", ""); MANY],
        duration,
    )
    .await
}

/// Each client reads its own account.
pub async fn user(system: &System, users: &Users, duration: Duration) -> Result<Load> {
    let own = |(id, token): (&i64, &String)| system.request("GET", &format!("/api/users/{id}"), token, "");
    let requests: Vec<_> = users.ids.iter().zip(&users.tokens).map(own).collect();
    clients(&system.address, &requests, duration).await
}

pub async fn login(system: &System, users: &Users, duration: Duration) -> Result<Load> {
    let requests: Vec<_> = users.ids.iter().take(FEW).map(|id| system.login(*id)).collect();
    clients(&system.address, &requests, duration).await
}

/// Stays, while nobody sends their mails.
pub async fn flows(system: &System, users: &Users, seconds: u64) -> Result<f64> {
    Ok(stays(&system.address, &users.tokens[..FEW], seconds).await?.rate)
}

/// Stays whose mails are sent meanwhile.
pub struct Mailed {
    pub flows: f64,
    /// Mails accepted per second during the load.
    pub mails: f64,
    /// Per cent of the mails that were accepted within five seconds of its end.
    pub in_time: f64,
}

pub async fn mailed_flows(system: &System, users: &Users, seconds: u64) -> Result<Mailed> {
    let (before, started) = (system.sink.accepted(), Instant::now());
    let stays = stays(&system.address, &users.tokens[..FEW], seconds).await?;
    let (during, elapsed) = (system.sink.accepted() - before, started.elapsed().as_secs_f64());
    let (expected, ended) = (2 * stays.count, Instant::now());
    while system.sink.accepted() - before < expected && ended.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let in_time = system.sink.accepted() - before;
    drain(system).await?;
    let accepted = system.sink.accepted() - before;
    ensure!(
        accepted == expected,
        "{}: {accepted} mails were accepted for {} stays",
        system.name,
        stays.count
    );
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let (mails, in_time) = (during as f64 / elapsed, 100.0 * in_time as f64 / expected as f64);
    Ok(Mailed { flows: stays.rate, mails, in_time })
}

/// Waits until no job is left and no mail is on its way, however long that takes.
pub async fn drain(system: &System) -> Result<()> {
    let (mut accepted, mut since) = (system.sink.accepted(), Instant::now());
    // A mail that the peer has taken from its queue is not counted as pending, but is sent within moments.
    while system.pending().await? > 0 || since.elapsed() < Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = system.sink.accepted();
        if now > accepted {
            (accepted, since) = (now, Instant::now());
        }
        ensure!(since.elapsed() < STALLED_AFTER, "{}: mails are not sent", system.name);
    }
    Ok(())
}

/// The median time of the administrators' report in milliseconds, each time after a booking or a release.
pub async fn report(system: &System, users: &Users, seconds: u64) -> Result<f64> {
    let mut connection = Connection::open(&system.address).await?;
    let (started, mut times) = (Instant::now(), Vec::new());
    let driver = &users.tokens[0];
    while times.len() < 6 || started.elapsed() < Duration::from_secs(seconds) {
        let body = json!({ "lot_id": 1 }).to_string();
        let book = system.request("POST", "/api/booking/book-spot", driver, &body);
        let id = send(&mut connection, &book, 201).await?["reservation"]["id"].as_i64().context("no id")?;
        times.push(timed_report(system, &mut connection, &users.admin).await?);
        let body = json!({ "reservation_id": id, "payment_method": "Cash" }).to_string();
        let release = system.request("POST", "/api/booking/release-spot", driver, &body);
        send(&mut connection, &release, 200).await?;
        times.push(timed_report(system, &mut connection, &users.admin).await?);
    }
    Ok(percentile(&sorted(times), 0.5))
}

async fn timed_report(system: &System, connection: &mut Connection, admin: &str) -> Result<f64> {
    let (request, started) = (system.request("GET", "/api/reports", admin, ""), Instant::now());
    send(connection, &request, 200).await?;
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}
