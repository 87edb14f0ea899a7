//! Repeated requests: the answer to the first is kept, in the transaction of its effect, for the others.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use sea_orm::{ConnectionTrait, FromQueryResult};
use sha2::Sha256;

use crate::{
    app::App,
    base::error::{Error, Result},
    platform::db::{at, sql},
};

/// Answers are kept for this long.
pub const KEPT_FOR: TimeDelta = TimeDelta::hours(24);

/// Who has not answered by then never will: requests end after 30 seconds.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::minutes(1);

/// An answer as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Kept {
    /// HTTP status.
    pub status: i64,
    /// Value of `Location` and, on a second line, of `ETag`, where there are such.
    pub headers: Option<String>,
    /// JSON.
    pub body: String,
}

/// The right to answer a request that has a key.
#[derive(Debug, Clone)]
pub struct Claim {
    user_id: i64,
    key: String,
    claimed_at: DateTime<Utc>,
}

/// What to do with a request that has a key.
#[derive(Debug)]
pub enum Begun {
    /// It is the first: answer it.
    First(Claim),
    /// It was answered before.
    Again(Kept),
}

/// How the answer to `T` looks.
type Render<T> = Arc<dyn Fn(&T) -> Result<Kept> + Send + Sync>;

/// Given to whatever has an effect, to be called with the outcome before the commit.
pub struct Keep<T>(Option<(Claim, Render<T>)>);

impl<T> Keep<T> {
    /// Keeps nothing: the request has no key.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Keeps the answer that `render` makes.
    pub fn of(claim: Claim, render: impl Fn(&T) -> Result<Kept> + Send + Sync + 'static) -> Self {
        Self(Some((claim, Arc::new(render))))
    }

    /// Writes the answer, in the transaction of the effect.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another request has taken over; then nothing may be committed.
    pub async fn answer(&self, tx: &impl ConnectionTrait, outcome: &T) -> Result<()> {
        let Some((claim, render)) = &self.0 else { return Ok(()) };
        let kept = render(outcome)?;
        let written = tx
            .execute_raw(sql(
                tx,
                "UPDATE idempotency_keys SET status = $4, headers = $5, body = $6
                 WHERE user_id = $1 AND key = $2 AND created_at = $3 AND status IS NULL",
                [
                    claim.user_id.into(),
                    claim.key.clone().into(),
                    at(claim.claimed_at),
                    kept.status.into(),
                    kept.headers.into(),
                    kept.body.into(),
                ],
            ))
            .await?;
        if written.rows_affected() == 1 { Ok(()) } else { Err(in_flight()) }
    }
}

fn in_flight() -> Error {
    Error::conflict("request_in_flight", "a request with this Idempotency-Key is being answered; try again")
}

/// By this, two requests under one key are compared. Keyed, because a body may hold a password.
///
/// # Errors
/// [`Error::Internal`] without a `JWT_SECRET_KEY`.
pub fn hash(app: &App, what: &str, body: &[u8]) -> Result<String> {
    let key = app.config.jwt_secret().map_err(anyhow::Error::new)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| anyhow::Error::new(e).context("a key"))?;
    mac.update(what.as_bytes());
    mac.update(b"\n");
    mac.update(body);
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Looks the key up, and takes it if nobody has.
///
/// # Errors
/// [`Error::KeyReused`] for another request under the same key; [`Error::Conflict`] while the first is being answered.
pub async fn begin(app: &App, user_id: i64, key: &str, request_hash: &str) -> Result<Begun> {
    let now = app.clock.now();
    let db = app.db.write();
    // A key that is too old, or whose owner has vanished without an answer, is free.
    let taken = db
        .execute_raw(sql(
            db,
            "INSERT INTO idempotency_keys (user_id, key, request_hash, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, key) DO UPDATE SET
                request_hash = excluded.request_hash, created_at = excluded.created_at,
                status = NULL, headers = NULL, body = NULL
             WHERE idempotency_keys.created_at <= $5 OR (idempotency_keys.status IS NULL AND idempotency_keys.created_at <= $6)",
            [
                user_id.into(),
                key.into(),
                request_hash.into(),
                at(now),
                at(now - KEPT_FOR),
                at(now - GIVEN_UP_AFTER),
            ],
        ))
        .await?;
    if taken.rows_affected() == 1 {
        return Ok(Begun::First(Claim { user_id, key: key.to_owned(), claimed_at: now }));
    }
    let row = db
        .query_one_raw(sql(
            db,
            "SELECT request_hash, status, headers, body FROM idempotency_keys WHERE user_id = $1 AND key = $2",
            [user_id.into(), key.into()],
        ))
        .await?;
    // Its owner may have failed, and let go of it, in between.
    let row = row.ok_or_else(in_flight)?;
    if row.try_get::<String>("", "request_hash")? != request_hash {
        return Err(Error::KeyReused);
    }
    match row.try_get::<Option<i64>>("", "status")? {
        Some(_) => Ok(Begun::Again(Kept::from_query_result(&row, "")?)),
        None => Err(in_flight()),
    }
}

/// Deletes answers that have been kept for long enough; how many.
///
/// # Errors
/// Those of the database.
pub async fn forget_old(app: &App) -> Result<u64> {
    let db = app.db.write();
    let text = "DELETE FROM idempotency_keys WHERE created_at <= $1";
    Ok(db.execute_raw(sql(db, text, [at(app.clock.now() - KEPT_FOR)])).await?.rows_affected())
}

/// Lets go of a key whose request had no effect, so that it can be tried again.
pub async fn release(app: &App, claim: &Claim) {
    let db = app.db.write();
    let released = db
        .execute_raw(sql(
            db,
            "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND created_at = $3 AND status IS NULL",
            [claim.user_id.into(), claim.key.clone().into(), at(claim.claimed_at)],
        ))
        .await;
    if let Err(error) = released {
        tracing::warn!(%error, "an Idempotency-Key is taken for another minute");
    }
}
