//! `Idempotency-Key`: a request that comes twice is done once and answered twice.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    Error, Result,
    app::App,
    platform::idempotency::{self, Claimed, Idempotency, StoredAnswer},
};
use utoipa::IntoParams;

use crate::http::{
    extract::{OriginalPath, read_body},
    problem::{Answer, Problem},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; the extractor reads the headers itself")]
pub(crate) struct IdempotencyKey {
    /// Names the request, so that it can be repeated without being done twice: 1 to 255 characters, new for each.
    #[param(rename = "Idempotency-Key", value_type = String, required = false, pattern = "^[!-~]([ -~]{0,253}[!-~])?$")]
    key: Option<String>,
}

/// A body (`E` is the extractor of it) and the key under which its answer is answer.
pub(crate) struct Once<E> {
    pub(crate) body: E,
    key: Option<Key>,
}

struct Key {
    text: String,
    /// Of method, path and body.
    request_hash: String,
}

impl<E: FromRequest<App, Rejection = Problem>> FromRequest<App> for Once<E> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        let Some(key) = request.headers().get(&KEY) else {
            return Ok(Self { body: E::from_request(request, app).await?, key: None });
        };
        let text = key.to_str().unwrap_or_default().to_owned();
        if !(1..=255).contains(&text.len()) || text.contains('\t') {
            return Err(Error::invalid("Idempotency-Key", "must have 1 to 255 ASCII characters").into());
        }
        let path = OriginalPath::of(&request);
        let what = format!("{} {}", request.method(), path.without_prefix());
        let (parts, body) = request.into_parts();
        let bytes = read_body(body).await?;
        let request_hash = idempotency::hash(&app.config, &what, &bytes)?;
        let request = Request::from_parts(parts, Body::from(bytes));
        Ok(Self { body: E::from_request(request, app).await?, key: Some(Key { text, request_hash }) })
    }
}

impl<E> Once<E> {
    /// Runs `act`, or repeats the answer if it was run before. An error had no effect, so it releases the key.
    pub(crate) async fn answer<T, F>(
        self,
        app: &App,
        user_id: i64,
        render: impl Fn(&T) -> Result<StoredAnswer> + Clone + Send + Sync + 'static,
        act: impl FnOnce(E, Idempotency<T>) -> F,
    ) -> Answer<Response>
    where
        F: Future<Output = Result<T>>,
    {
        let Some(key) = self.key else {
            let outcome = act(self.body, Idempotency::none()).await?;
            return response(render(&outcome)?);
        };
        let now = app.clock.now();
        let claim = match idempotency::claim(&app.db, now, user_id, &key.text, &key.request_hash).await? {
            Claimed::First(claim) => claim,
            Claimed::Answered(answer) => {
                let mut response = response(answer)?;
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                return Ok(response);
            }
        };
        match act(self.body, Idempotency::new(claim.clone(), render.clone())).await {
            Ok(outcome) => response(render(&outcome)?),
            Err(error) => {
                idempotency::release(&app.db, claim).await;
                Err(error.into())
            }
        }
    }
}

/// An answer without headers of its own.
pub(crate) fn reply(status: StatusCode, body: &impl Serialize) -> Result<StoredAnswer> {
    let body = serde_json::to_string(body).map_err(|e| anyhow::Error::new(e).context("an answer"))?;
    Ok(StoredAnswer { status: status.as_u16().into(), headers: None, body })
}

fn response(answer: StoredAnswer) -> Answer<Response> {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = (status.unwrap_or(StatusCode::OK), answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let lines = answer.headers.as_deref().unwrap_or_default().lines();
    for (name, value) in [header::LOCATION, header::ETAG].into_iter().zip(lines) {
        headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
    }
    if status == Some(StatusCode::ACCEPTED) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
