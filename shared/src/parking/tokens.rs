//! Tokens that are mailed to users. Each is valid once and for a short time, and the database has only its hash.

use chrono::{DateTime, Utc};
use hmac::Mac;
use sea_orm::ConnectionTrait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    app::App,
    base::error::{Error, Result},
    platform::{
        db::{Transaction, at, sql},
        mac,
    },
};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Setting a new password.
    PasswordReset,
    /// Proving that a mail address belongs to its user.
    EmailVerification,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
        }
    }
}

/// Separates these tokens from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: tokens in mails, 1";

/// The token that a job mails to a user. Every run of the job gets the same one, so that whichever mail arrives works; the
/// last run decides when it expires. `None` if it was used or revoked.
pub async fn issue(
    app: &App,
    job: Uuid,
    kind: Kind,
    user_id: i64,
    expires_at: DateTime<Utc>,
) -> Result<Option<String>> {
    let signed = mac::sign(&app.config, PURPOSE, format!("{}:{job}", kind.name()).as_bytes())?;
    let token = hex::encode(signed.finalize().into_bytes());
    let db = app.db.write();
    let issued = db
        .execute_raw(sql(
            db,
            "INSERT INTO account_tokens (id, kind, user_id, hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET expires_at = $6 WHERE account_tokens.used_at IS NULL",
            [
                job.into(),
                kind.name().into(),
                user_id.into(),
                hash(&token).into(),
                at(app.clock.now()),
                at(expires_at),
            ],
        ))
        .await?;
    Ok((issued.rows_affected() == 1).then_some(token))
}

/// The user to whom a token was mailed.
///
/// # Errors
/// [`Error::Gone`] if it is not valid, or not any more.
pub async fn find_user(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    kind: Kind,
    token: &str,
) -> Result<i64> {
    let text = "SELECT user_id FROM account_tokens
         WHERE hash = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3";
    let row = db.query_one_raw(sql(db, text, [hash(token).into(), kind.name().into(), at(now)])).await?;
    let row = row.ok_or_else(|| Error::Gone("the link has expired or was used already".into()))?;
    Ok(row.try_get("", "user_id")?)
}

/// Uses a token of a user, whose row is locked. The others of its kind are void from then on.
///
/// # Errors
/// As [`find_user`].
pub async fn use_up(
    tx: &Transaction,
    now: DateTime<Utc>,
    kind: Kind,
    user_id: i64,
    token: &str,
) -> Result<()> {
    find_user(tx, now, kind, token).await?;
    let text = "UPDATE account_tokens SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL AND kind = $3";
    tx.execute_raw(sql(tx, text, [user_id.into(), at(now), kind.name().into()])).await?;
    Ok(())
}

/// Invalidates all tokens of a user.
pub async fn revoke_all(db: &impl ConnectionTrait, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    let text = "UPDATE account_tokens SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL";
    db.execute_raw(sql(db, text, [user_id.into(), at(now)])).await?;
    Ok(())
}

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}
