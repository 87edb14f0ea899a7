//! `Idempotency-Key`: a request that comes twice is done once and answered twice.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    Error, Result,
    app::App,
    platform::idempotency::{self, Begun, Keep, Kept},
};
use utoipa::IntoParams;

use crate::http::{
    body,
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

/// A body (`E` is the extractor of it) and the key under which its answer is kept.
pub(crate) struct Once<E> {
    pub(crate) body: E,
    key: Option<Key>,
}

struct Key {
    text: String,
    /// Of method, path and body.
    request_hash: String,
}

impl<E, S> FromRequestParts<S> for Once<E>
where
    E: FromRequestParts<S, Rejection = Problem>,
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Some(key) = parts.headers.get(&KEY) else {
            return Ok(Self { body: E::from_request_parts(parts, state).await?, key: None });
        };
        let text = key.to_str().unwrap_or_default().to_owned();
        if !(1..=255).contains(&text.len()) || text.contains('\t') {
            return Err(Error::invalid("Idempotency-Key", "must have 1 to 255 ASCII characters").into());
        }
        let what = format!("{} {}", parts.method, parts.uri.path());
        let request_hash = idempotency::hash(&App::from_ref(state), &what, body::bytes(parts))?;
        Ok(Self { body: E::from_request_parts(parts, state).await?, key: Some(Key { text, request_hash }) })
    }
}

impl<E> Once<E> {
    /// Does `act` unless it was done before, and answers as `render` says. An error is not kept: it had no effect.
    pub(crate) async fn answer<T, F>(
        self,
        app: &App,
        user_id: i64,
        render: impl Fn(&T) -> Result<Kept> + Clone + Send + Sync + 'static,
        act: impl FnOnce(E, Keep<T>) -> F,
    ) -> Answer<Response>
    where
        F: Future<Output = Result<T>>,
    {
        let Some(key) = self.key else {
            let outcome = act(self.body, Keep::none()).await?;
            return response(render(&outcome)?);
        };
        let claim = match idempotency::begin(app, user_id, &key.text, &key.request_hash).await? {
            Begun::First(claim) => claim,
            Begun::Again(kept) => {
                let mut response = response(kept)?;
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                return Ok(response);
            }
        };
        match act(self.body, Keep::of(claim.clone(), render.clone())).await {
            Ok(outcome) => response(render(&outcome)?),
            Err(error) => {
                idempotency::release(app, &claim).await;
                Err(error.into())
            }
        }
    }
}

/// An answer without headers of its own.
pub(crate) fn reply(status: StatusCode, body: &impl Serialize) -> Result<Kept> {
    let body = serde_json::to_string(body).map_err(|e| anyhow::Error::new(e).context("an answer"))?;
    Ok(Kept { status: status.as_u16().into(), headers: None, body })
}

fn response(kept: Kept) -> Answer<Response> {
    let status = u16::try_from(kept.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = (status.unwrap_or(StatusCode::OK), kept.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let lines = kept.headers.as_deref().unwrap_or_default().lines();
    for (name, value) in [header::LOCATION, header::ETAG].into_iter().zip(lines) {
        headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
    }
    if status == Some(StatusCode::ACCEPTED) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
