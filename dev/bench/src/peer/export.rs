//! The export of one user's reservations as CSV, from the request to the last byte.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::http::Connection;

use super::{
    data::EXPORTER,
    system::{System, send},
};

/// A downloaded export.
pub struct Export {
    pub lines: usize,
    pub seconds: f64,
}

/// Requests an export and downloads it. Parkade's worker writes it, the peer answers with it.
pub async fn run(system: &System) -> Result<Export> {
    let token = system.log_in(EXPORTER).await?;
    let mut connection = Connection::open(&system.address).await?;
    let started = Instant::now();
    let path = if system.is_ours() {
        request(system, &mut connection, &token).await?
    } else {
        "/api/export.csv".to_owned()
    };
    let (status, body) = connection.send(&system.request("GET", &path, &token, "")).await?;
    ensure!(status == 200, "{path}: status {status}");
    let seconds = started.elapsed().as_secs_f64();
    Ok(Export { lines: body.iter().filter(|byte| **byte == b'\n').count(), seconds })
}

/// Waits until the file is ready and returns its path.
async fn request(system: &System, connection: &mut Connection, token: &str) -> Result<String> {
    let request = system.request("POST", "/api/export/csv/request", token, "");
    let task = send(connection, &request, 202).await?;
    let id = task["task_id"].as_str().context("no task id")?;
    let poll = system.request("GET", &format!("/api/export/csv/status/{id}"), token, "");
    loop {
        let export = send(connection, &poll, 200).await?["export"].take();
        match export["status"].as_str() {
            Some("completed") => {
                return Ok(export["download_url"].as_str().context("no URL")?.to_owned());
            }
            Some("pending" | "processing") => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => bail!("the export has failed: {export}"),
        }
    }
}
