//! A client of the HTTP API, as somebody else would write one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

/// Calls the API, with a token once there is one.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// For the API at `base`, such as `http://127.0.0.1:5000`.
    pub(super) fn new(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, base: base.to_owned(), token: None })
    }

    /// The same client, logged in.
    pub(super) fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Whether the API can work.
    pub(super) async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/api/health/ready", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The answer to GET, which must be 200.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        json(self.send(Method::GET, path, None, StatusCode::OK).await?).await
    }

    /// The answer to POST, which must have the status.
    pub(super) async fn post(&self, path: &str, body: &Value, expected: StatusCode) -> Result<Value> {
        json(self.send(Method::POST, path, Some(body), expected).await?).await
    }

    /// What lies at the address, which must be 200: the suggested name and the bytes.
    pub(super) async fn download(&self, path: &str) -> Result<(String, Vec<u8>)> {
        let answer = self.send(Method::GET, path, None, StatusCode::OK).await?;
        let disposition = answer.headers().get("content-disposition").and_then(|value| value.to_str().ok());
        let name = disposition.and_then(|text| text.split('"').nth(1));
        let name = name.context("the file came without a name")?.to_owned();
        Ok((name, answer.bytes().await.context("reading the file")?.to_vec()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        expected: StatusCode,
    ) -> Result<Response> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        if status != expected {
            let body = answer.text().await.unwrap_or_default();
            bail!("{method} {path} answered {status}, not {expected}: {body}");
        }
        Ok(answer)
    }
}

async fn json(answer: Response) -> Result<Value> {
    let address = answer.url().path().to_owned();
    answer.json().await.with_context(|| format!("the answer of {address} is not JSON"))
}

/// A text of an answer.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    let value = answer.pointer(pointer).and_then(Value::as_str);
    value.with_context(|| format!("no text at {pointer} in {answer}"))
}

/// A whole number of an answer.
pub(super) fn number(answer: &Value, pointer: &str) -> Result<i64> {
    let value = answer.pointer(pointer).and_then(Value::as_i64);
    value.with_context(|| format!("no whole number at {pointer} in {answer}"))
}
