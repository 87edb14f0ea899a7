//! The signed token of a session.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{app::App, base::error::Result};

const ISSUER: &str = "parkade";
const AUDIENCE: &str = "parkade-api";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) sid: Uuid,
    jti: Uuid,
    iat: i64,
    exp: i64,
    iss: String,
    aud: String,
}

/// A token that is valid from `now` until `expires_at`.
pub(super) fn sign(
    app: &App,
    user_id: i64,
    session_id: Uuid,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<String> {
    let claims = Claims {
        sub: user_id.to_string(),
        sid: session_id,
        jti: Uuid::new_v4(),
        iat: now.timestamp(),
        exp: expires_at.timestamp(),
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
    };
    let key = EncodingKey::from_secret(app.config.jwt_secret().map_err(anyhow::Error::new)?);
    Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| anyhow::Error::new(error).context("signing a token"))?)
}

/// The claims, if signature, issuer, audience and times are valid.
pub(super) fn verify(app: &App, token: &str) -> Result<Option<Claims>> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false; // checked below, by the application's clock
    let key = DecodingKey::from_secret(app.config.jwt_secret().map_err(anyhow::Error::new)?);
    let now = app.clock.now().timestamp();
    Ok(jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .ok()
        .map(|data| data.claims)
        .filter(|claims| claims.exp > now && claims.iat <= now + 60))
}

/// The session that a valid token names, without a look at whether it is still open.
pub fn session_id(app: &App, token: &str) -> Result<Option<Uuid>> {
    Ok(verify(app, token)?.map(|claims| claims.sid))
}
