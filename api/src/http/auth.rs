//! Who may call: `CurrentUser` and `Admin` as extractors, so that a handler says in its signature whom it serves.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use shared::{Error, app::App, base::identity::Identity, parking::accounts::session};

use crate::http::problem::Problem;

/// Anybody with a good token.
#[derive(Debug, Clone, Copy)]
pub struct CurrentUser(pub Identity);

/// An administrator.
#[derive(Debug, Clone, Copy)]
pub struct Admin(pub Identity);

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if let Some(identity) = parts.extensions.get::<Identity>() {
            return Ok(Self(*identity));
        }
        let token = bearer(&parts.headers)
            .ok_or(Error::Unauthenticated("log in and send the token as: Authorization: Bearer TOKEN"))?;
        Ok(Self(session::authenticate(app, token).await?))
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let CurrentUser(identity) = CurrentUser::from_request_parts(parts, app).await?;
        if identity.is_admin {
            Ok(Self(identity))
        } else {
            Err(Error::Forbidden("only an administrator may do this").into())
        }
    }
}

impl CurrentUser {
    /// Lets pass the user with this id, and administrators.
    ///
    /// # Errors
    /// 403 for anybody else.
    pub fn must_be(&self, user_id: i64) -> Result<(), Problem> {
        if self.0.is_admin || self.0.user_id == user_id {
            Ok(())
        } else {
            Err(Error::Forbidden("you may only see your own account").into())
        }
    }
}
