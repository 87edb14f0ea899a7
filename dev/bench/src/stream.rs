//! A lean client of server-sent events.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shared::jobs::status::Version;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use crate::http;

/// An open stream of events.
pub struct Events {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One of them.
pub struct Event {
    /// Its id.
    pub version: Version,
    state: String,
    /// When the progress was set.
    pub set: Option<i64>,
}

impl Event {
    /// Whether it is the last.
    pub fn is_end(&self) -> bool {
        !["PENDING", "PROGRESS"].contains(&self.state.as_str())
    }
}

impl Events {
    /// Follows a task, after the event that was seen last.
    pub async fn open(address: &str, id: Uuid, token: &str, seen: Option<Version>) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let seen = seen.map_or_else(String::new, |seen| format!("last-event-id: {seen}\r\n"));
        let headers = format!("authorization: Bearer {}\r\n{seen}", token);
        stream
            .write_all(&http::request(address, "GET", &format!("/api/tasks/{id}/events"), &headers, ""))
            .await?;
        let mut events = Self { stream, buffer: Vec::with_capacity(1024) };
        let status = events.line().await?.context("an answer")?;
        ensure!(status.contains(" 200 "), "{status}");
        Ok(events)
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// The server writes no line in two pieces of a chunk, so what lies between chunks looks like lines of no meaning.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let mut version = None;
        while let Some(line) = self.line().await? {
            if let Some(id) = line.strip_prefix("id: ") {
                version = id.parse().ok();
            } else if let (Some(data), Some(version)) = (line.strip_prefix("data: "), version) {
                let view: Value = serde_json::from_str(data)?;
                let state = view["state"].as_str().context("a state")?.to_owned();
                let set = view["total"].as_i64().filter(|_| view["current"].as_i64() > Some(0));
                return Ok(Some(Event { version, state, set }));
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
