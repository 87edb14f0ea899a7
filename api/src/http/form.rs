//! Bodies that come as JSON from programs, or from the form of a page.

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::http::{body, problem::Problem};

const KIND: &str = "application/x-www-form-urlencoded";

/// The body, and how it came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum JsonOrForm<T> {
    Json(T),
    Form(T),
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for JsonOrForm<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case(KIND) {
            let body::Json(value) = body::Json::from_request_parts(parts, state).await?;
            return Ok(Self::Json(value));
        }
        let mut request = Request::new(Body::from(body::bytes(parts).to_vec()));
        *request.method_mut() = parts.method.clone();
        request.headers_mut().clone_from(&parts.headers);
        let form = axum::Form::from_request(request, &()).await;
        let invalid = |_| Problem::new(StatusCode::BAD_REQUEST, "invalid", "the form cannot be read");
        form.map(|axum::Form(value)| Self::Form(value)).map_err(invalid)
    }
}
