//! A lean client for server-sent events.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shared::jobs::status::Version;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use bench::http;

/// An open event stream of one task.
pub struct Events {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub struct Event {
    pub version: Version,
    state: String,
    /// When the progress was reported, in microseconds since 1970.
    pub reported_at: Option<i64>,
}

impl Event {
    /// Whether it is the last event of its task.
    pub fn is_final(&self) -> bool {
        !["PENDING", "PROGRESS"].contains(&self.state.as_str())
    }
}

impl Events {
    /// Follows a task, resuming after the event that was seen last.
    pub async fn open(address: &str, id: Uuid, token: &str, last: Option<Version>) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let last = last.map_or_else(String::new, |last| format!("last-event-id: {last}\r\n"));
        let headers = format!("authorization: Bearer {token}\r\n{last}");
        stream
            .write_all(&http::request(address, "GET", &format!("/api/tasks/{id}/events"), &headers, ""))
            .await?;
        let mut events = Self { stream, buffer: Vec::with_capacity(1024) };
        let status = events.line().await?.context("the server closed the connection")?;
        ensure!(status.contains(" 200 "), "following task {id}: {status}");
        Ok(events)
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// The server never splits a line over two chunks, so chunk sizes look like lines without a meaning and are skipped.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let mut version = None;
        while let Some(line) = self.line().await? {
            if let Some(id) = line.strip_prefix("id: ") {
                version = id.parse().ok();
            } else if let (Some(data), Some(version)) = (line.strip_prefix("data: "), version) {
                let view: Value = serde_json::from_str(data)?;
                let state = view["state"].as_str().context("an event without a state")?.to_owned();
                let reported_at = view["total"].as_i64().filter(|_| view["current"].as_i64() > Some(0));
                return Ok(Some(Event { version, state, reported_at }));
            }
        }
        Ok(None)
    }

    async fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}
