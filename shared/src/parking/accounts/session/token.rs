//! The signed token of a session.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{app::App, base::error::Result, platform::keys::TokenKey};

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
    let key = &app.keys.tokens()?[0];
    let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
    Ok(jsonwebtoken::encode(&header, &claims, &key.encoding)
        .map_err(|error| anyhow::Error::new(error).context("signing a token"))?)
}

/// The claims, if signature, issuer, audience and times are valid.
pub(super) fn verify(app: &App, token: &str) -> Result<Option<Claims>> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false; // checked below, by the application's clock
    let now = app.clock.now().timestamp();
    let Ok(header) = jsonwebtoken::decode_header(token) else { return Ok(None) };
    let verify = |key: &TokenKey| jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok();
    Ok(candidates(app.keys.tokens()?, header.kid.as_deref())
        .find_map(verify)
        .map(|data| data.claims)
        .filter(|claims| claims.exp > now && claims.iat <= now + 60))
}

/// The key with this id, or all: releases before 0.4 named none.
fn candidates<'a>(keys: &'a [TokenKey], id: Option<&'a str>) -> impl Iterator<Item = &'a TokenKey> {
    let named = keys.iter().any(|key| Some(&*key.id) == id);
    keys.iter().filter(move |key| !named || Some(&*key.id) == id)
}

/// The session that a valid token names, without a look at whether it is still open.
pub fn session_id(app: &App, token: &str) -> Result<Option<Uuid>> {
    Ok(verify(app, token)?.map(|claims| claims.sid))
}
