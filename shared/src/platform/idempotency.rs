//! Idempotency keys. The first request under a key claims it and stores its answer in the transaction of its effect;
//! repetitions get that answer. A request that fails releases its key.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    base::error::{Error, Result},
    platform::{
        db::{Db, at, sql},
        keys::{Keys, Purpose},
    },
};

/// How long answers are stored.
pub const RETENTION: TimeDelta = TimeDelta::hours(24);

/// After this, a claim without an answer is free again: its process has died, since requests end after 30 seconds.
const CLAIM_TIMEOUT: TimeDelta = TimeDelta::minutes(1);

/// An answer as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: i64,
    /// The values of `Location` and, on a second line, `ETag`, if the answer has them.
    pub headers: Option<String>,
    /// JSON.
    pub body: String,
}

/// The right to answer the request under a key.
#[derive(Debug, Clone)]
pub struct Claim {
    user_id: i64,
    key: String,
    claimed_at: DateTime<Utc>,
}

/// The outcome of [`claim`].
#[derive(Debug)]
pub enum Claimed {
    /// This is the first request under the key.
    First(Claim),
    /// This is a repetition.
    Answered(StoredAnswer),
}

type Render<T> = Arc<dyn Fn(&T) -> Result<StoredAnswer> + Send + Sync>;

/// Stores the answer to a request whose outcome is `T`, if the request has a key.
pub struct Idempotency<T>(Option<(Claim, Render<T>)>);

impl<T> Idempotency<T> {
    /// For a request without a key: stores nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Stores what `render` makes of the outcome.
    pub fn new(claim: Claim, render: impl Fn(&T) -> Result<StoredAnswer> + Send + Sync + 'static) -> Self {
        Self(Some((claim, Arc::new(render))))
    }

    /// Whether there is no answer to store.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Stores the answer in the transaction of the effect. Fails, so that nothing is committed, if the claim has timed
    /// out and another request has taken the key.
    pub async fn store(&self, tx: &impl ConnectionTrait, outcome: &T) -> Result<()> {
        let Some((claim, render)) = &self.0 else { return Ok(()) };
        let answer = render(outcome)?;
        let stored = tx
            .execute_raw(sql(
                tx,
                "UPDATE idempotency_keys SET status = $4, headers = $5, body = $6
                 WHERE user_id = $1 AND key = $2 AND created_at = $3 AND status IS NULL",
                [
                    claim.user_id.into(),
                    claim.key.clone().into(),
                    at(claim.claimed_at),
                    answer.status.into(),
                    answer.headers.into(),
                    answer.body.into(),
                ],
            ))
            .await?;
        if stored.rows_affected() == 1 { Ok(()) } else { Err(in_flight()) }
    }
}

fn in_flight() -> Error {
    Error::conflict("request_in_flight", "a request with this Idempotency-Key is in progress; try again")
}

/// Separates these digests from everything else signed with the secret.
const PURPOSE: Purpose = b"parkade: repeated requests, 1";

/// What requests under one key are compared by. Keyed, because a body may contain a password.
#[derive(Debug, Clone)]
pub struct Digest {
    stored: String,
    /// Those of the keys before, and of releases before 0.4.
    earlier: Vec<String>,
}

impl Digest {
    /// The digest of a request.
    ///
    /// # Errors
    /// As [`Keys::lasting`].
    pub fn of(keys: &Keys, method_and_path: &str, body: &[u8]) -> Result<Self> {
        let text = [method_and_path.as_bytes(), &b"\n"[..], body].concat();
        let lasting = keys.all_lasting(PURPOSE)?;
        let mut macs: Vec<_> = lasting.iter().map(|key| key.sign(&text)).collect::<Result<_>>()?;
        macs.append(&mut keys.sign_as_before_0_4(&text)?);
        let mut digests = macs.into_iter().map(|mac| hex::encode(mac.finalize().into_bytes()));
        Ok(Self { stored: digests.next().unwrap_or_default(), earlier: digests.collect() })
    }

    fn is(&self, stored: &str) -> bool {
        self.stored == stored || self.earlier.iter().any(|earlier| earlier == stored)
    }
}

/// Claims the key, or finds the answer that is stored under it.
///
/// # Errors
/// [`Error::KeyReused`] if the key belongs to a different request; [`Error::Conflict`] while the first is in progress.
pub async fn claim(db: &Db, now: DateTime<Utc>, user_id: i64, key: &str, digest: &Digest) -> Result<Claimed> {
    let db = db.write();
    let claimed = db
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
                digest.stored.clone().into(),
                at(now),
                at(now - RETENTION),
                at(now - CLAIM_TIMEOUT),
            ],
        ))
        .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claimed::First(Claim { user_id, key: key.to_owned(), claimed_at: now }));
    }
    let row = db
        .query_one_raw(sql(
            db,
            "SELECT request_hash, status, headers, body FROM idempotency_keys WHERE user_id = $1 AND key = $2",
            [user_id.into(), key.into()],
        ))
        .await?;
    // Gone if the first request has failed and released it between the two statements.
    let row = row.ok_or_else(in_flight)?;
    if !digest.is(&row.try_get::<String>("", "request_hash")?) {
        return Err(Error::KeyReused);
    }
    match row.try_get::<Option<i64>>("", "status")? {
        Some(_) => Ok(Claimed::Answered(StoredAnswer::from_query_result(&row, "")?)),
        None => Err(in_flight()),
    }
}

/// Releases the key of a request that failed, so that it can be tried again.
pub async fn release(db: &Db, claim: Claim) {
    let db = db.write();
    let released = db
        .execute_raw(sql(
            db,
            "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND created_at = $3 AND status IS NULL",
            [claim.user_id.into(), claim.key.into(), at(claim.claimed_at)],
        ))
        .await;
    if let Err(error) = released {
        tracing::warn!(%error, "an Idempotency-Key was not released; it is free again in a minute");
    }
}

/// Deletes expired answers. Returns how many there were.
pub async fn delete_expired(db: &Db, now: DateTime<Utc>) -> Result<u64> {
    let text = "DELETE FROM idempotency_keys WHERE created_at <= $1";
    Ok(db.write().execute_raw(sql(db.write(), text, [at(now - RETENTION)])).await?.rows_affected())
}
