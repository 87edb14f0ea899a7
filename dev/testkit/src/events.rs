//! A client of server-sent events.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::{Driver, TestApp};

/// A server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event id.
    pub id: String,
    /// The data, parsed as JSON.
    pub data: Value,
}

/// An open stream of events.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    text: String,
    /// Lines that belong to no event: comments and retry intervals.
    pub others: Vec<String>,
}

/// How long a stream may be silent.
const EVENT_TIMEOUT: Duration = Duration::from_secs(40);

impl TestApp {
    /// Follows a task. With `seen`, only events after the one with this id are sent.
    pub async fn follow(&self, id: uuid::Uuid, who: &Driver, seen: Option<&str>) -> Events {
        Events::open(self.request(Method::GET, &format!("/tasks/{id}/events"), Some(who)), seen).await
    }
}

impl Events {
    /// Opens a stream, without the timeout of other requests.
    pub async fn open(request: reqwest::RequestBuilder, seen: Option<&str>) -> Self {
        let request = request.timeout(Duration::from_secs(300));
        let request = match seen {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new(), others: Vec::new() }
    }

    /// The headers of the response.
    #[must_use]
    pub fn headers(&self) -> &reqwest::header::HeaderMap {
        self.response.headers()
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.complete() {
                return Some(event);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Every event until the stream ends.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Returns `false` when the stream has ended or was cut.
    async fn read(&mut self) -> bool {
        let piece = tokio::time::timeout(EVENT_TIMEOUT, self.response.chunk())
            .await
            .expect("no data within the timeout");
        let Ok(Some(piece)) = piece else { return false };
        self.text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        true
    }

    /// Takes the first complete event from the buffer.
    fn complete(&mut self) -> Option<Event> {
        while let Some(end) = self.text.find("\n\n") {
            let block: String = self.text.drain(..end + 2).collect();
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            match (field("id: "), field("data: ")) {
                (Some(id), Some(data)) => {
                    let data = serde_json::from_str(data).expect("JSON");
                    return Some(Event { id: id.to_owned(), data });
                }
                _ => self.others.extend(block.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned)),
            }
        }
        None
    }
}
