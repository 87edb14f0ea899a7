//! `Idempotency-Key`: a request that is repeated takes effect once and gets the same answer again.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    Error, Result,
    app::App,
    platform::idempotency::{self, Claimed, Digest, Idempotency, StoredAnswer},
};
use utoipa::IntoParams;

use crate::http::{
    body,
    problem::{Answer, Problem},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `Idempotency-Key`, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; the extractor reads the header itself")]
pub(crate) struct IdempotencyKey {
    /// Identifies the request, so that a repetition takes effect only once: 1 to 255 characters, new for each request.
    #[param(rename = "Idempotency-Key", value_type = String, required = false, pattern = "^[!-~]([ -~]{0,253}[!-~])?$")]
    key: Option<String>,
}

/// A body, read by the extractor `E`, and the key of the request, if it has one.
pub(crate) struct Once<E> {
    pub(crate) body: E,
    key: Option<Key>,
}

struct Key {
    text: String,
    /// Of method, path and body.
    digest: Digest,
}

impl<E, S> FromRequestParts<S> for Once<E>
where
    E: FromRequestParts<S, Rejection = Problem>,
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let key = Key::of(parts, &App::from_ref(state))?;
        Ok(Self { body: E::from_request_parts(parts, state).await?, key })
    }
}

impl Key {
    fn of(parts: &Parts, app: &App) -> Result<Option<Self>> {
        let Some(key) = parts.headers.get(&KEY) else { return Ok(None) };
        let text = key.to_str().unwrap_or_default().to_owned();
        if !(1..=255).contains(&text.len()) || text.contains('\t') {
            return Err(Error::invalid("Idempotency-Key", "must have 1 to 255 ASCII characters"));
        }
        let method_and_path = format!("{} {}", parts.method, parts.uri.path());
        let digest = Digest::of(&app.keys, &method_and_path, body::bytes(parts))?;
        Ok(Some(Self { text, digest }))
    }
}

impl<E> Once<E> {
    /// Runs `act`, or repeats the stored answer. `act` stores the answer that `render` makes in the transaction of its effect.
    /// An error had no effect, so it releases the key.
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
            return Ok(response(render(&outcome)?));
        };
        let now = app.clock.now();
        let claim = match idempotency::claim(&app.db, now, user_id, &key.text, &key.digest).await? {
            Claimed::First(claim) => claim,
            Claimed::Answered(stored) => return Ok(replayed(stored)),
        };
        match act(self.body, Idempotency::new(claim.clone(), render.clone())).await {
            Ok(outcome) => Ok(response(render(&outcome)?)),
            Err(error) => {
                idempotency::release(&app.db, claim).await;
                Err(error.into())
            }
        }
    }
}

/// An answer without headers of its own.
pub(crate) fn reply(status: StatusCode, body: &impl Serialize) -> Result<StoredAnswer> {
    let body =
        serde_json::to_string(body).map_err(|e| anyhow::Error::new(e).context("serializing an answer"))?;
    Ok(StoredAnswer { status: status.as_u16().into(), headers: None, body })
}

/// The answer to a request that created the resource at `path`.
pub(crate) fn located(path: String, body: &impl Serialize) -> Result<StoredAnswer> {
    Ok(StoredAnswer { headers: Some(path), ..reply(StatusCode::CREATED, body)? })
}

fn replayed(stored: StoredAnswer) -> Response {
    let mut response = response(stored);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn response(answer: StoredAnswer) -> Response {
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
    response
}
