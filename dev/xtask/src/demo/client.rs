//! A client of the HTTP API.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

/// Calls the API, with a token after a login.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// `base` is the URL of the API without a path.
    pub(super) fn new(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, base: base.to_owned(), token: None })
    }

    /// The same client with a session.
    pub(super) fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Whether the API is ready.
    pub(super) async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/api/health/ready", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The body of a response, which must be 200.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        json(self.send(Method::GET, path, None, StatusCode::OK).await?).await
    }

    /// The body of a response, which must have this status.
    pub(super) async fn post(&self, path: &str, body: &Value, expected: StatusCode) -> Result<Value> {
        json(self.send(Method::POST, path, Some(body), expected).await?).await
    }

    /// The file name and content of a download.
    pub(super) async fn download(&self, path: &str) -> Result<(String, Vec<u8>)> {
        let answer = self.send(Method::GET, path, None, StatusCode::OK).await?;
        let disposition = answer.headers().get("content-disposition").and_then(|value| value.to_str().ok());
        let name = disposition.and_then(|text| text.split('"').nth(1));
        let name = name.context("the download has no file name")?.to_owned();
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
            bail!("{method} {path}: status {status} instead of {expected}: {body}");
        }
        Ok(answer)
    }
}

async fn json(answer: Response) -> Result<Value> {
    let path = answer.url().path().to_owned();
    answer.json().await.with_context(|| format!("the response of {path} is not JSON"))
}

/// A string in a response.
pub(super) fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    let value = answer.pointer(pointer).and_then(Value::as_str);
    value.with_context(|| format!("no string at {pointer} in {answer}"))
}

/// An integer in a response.
pub(super) fn number(answer: &Value, pointer: &str) -> Result<i64> {
    let value = answer.pointer(pointer).and_then(Value::as_i64);
    value.with_context(|| format!("no integer at {pointer} in {answer}"))
}
