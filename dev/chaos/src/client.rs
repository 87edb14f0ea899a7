//! An API client that survives broken connections.

use std::time::Duration;

use anyhow::Context;
use bench::http::{Connection, request};
use serde_json::Value;

/// A response that takes longer counts as none.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is opened again when it breaks.
pub struct Client {
    address: String,
    token: String,
    connection: Option<Connection>,
}

impl Client {
    /// Connects with the first request. Without a session, the token is empty.
    pub fn new(address: &str, token: String) -> Self {
        Self { address: address.to_owned(), token, connection: None }
    }

    /// The next request opens a new connection.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Posts JSON, with an idempotency key if there is one. `None` without a response.
    pub async fn post(&mut self, path: &str, body: &Value, key: Option<&str>) -> Option<(u16, Value)> {
        let key = key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
        self.send("POST", path, &key, &body.to_string()).await
    }

    /// `None` without a response.
    pub async fn get(&mut self, path: &str) -> Option<(u16, Value)> {
        self.send("GET", path, "", "").await
    }

    async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
        let headers = format!("authorization: Bearer {}\r\n{headers}", self.token);
        let request = request(&self.address, method, path, &headers, body);
        let sending = async {
            if self.connection.is_none() {
                self.connection = Some(Connection::open(&self.address).await?);
            }
            let connection = self.connection.as_mut().context("not connected")?;
            let (status, body) = connection.send(&request).await?;
            anyhow::Ok((status, serde_json::from_slice(body).unwrap_or_default()))
        };
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, sending).await.ok().and_then(Result::ok);
        if response.is_none() {
            self.disconnect();
        }
        response
    }
}
