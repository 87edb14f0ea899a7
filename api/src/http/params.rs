//! Parameters of paths and queries.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::http::problem::Problem;

/// Parameters of the path. A value that cannot be read, such as text for an id, gets 404: no such resource exists.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// Parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The user in a path: an id, or `me` for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum UserPath {
    /// The caller.
    Me,
    /// Anybody.
    Id(i64),
}

impl TryFrom<String> for UserPath {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "me" { Ok(Self::Me) } else { text.parse().map(Self::Id) }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(StatusCode::NOT_FOUND.into()),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, "invalid", error.body_text())),
        }
    }
}
