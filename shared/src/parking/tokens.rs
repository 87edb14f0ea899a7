//! Tokens that are mailed to users. Each is valid once and for a limited time, and the database has only its hash.

use chrono::{DateTime, Utc};
use hmac::Mac;
use sea_orm::{ConnectionTrait, QueryResult};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    base::error::{Error, Result},
    platform::{
        db::{Transaction, at, sql},
        keys::Keys,
    },
};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Setting a new password.
    PasswordReset,
    /// Proving that a mail address belongs to its user.
    EmailVerification,
    /// Proving that a new address belongs to the user, which then replaces the old one.
    EmailChange,
    /// Restoring the address before a change.
    EmailUndo,
}

impl Kind {
    const ALL: [Self; 4] = [Self::PasswordReset, Self::EmailVerification, Self::EmailChange, Self::EmailUndo];

    /// Both kinds of proof that an address belongs to its user.
    pub const VERIFICATIONS: [Self; 2] = [Self::EmailVerification, Self::EmailChange];

    const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::EmailChange => "email_change",
            Self::EmailUndo => "email_undo",
        }
    }
}

/// A token to issue.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The job that mails it.
    pub job: Uuid,
    /// What it is for.
    pub kind: Kind,
    /// To whom it is mailed.
    pub user_id: i64,
    /// The address that it is about, for changes of the address.
    pub address: Option<&'a str>,
    /// The end of its validity.
    pub expires_at: DateTime<Utc>,
}

/// A valid token.
#[derive(Debug, Clone)]
pub struct Token {
    /// What it is for.
    pub kind: Kind,
    /// To whom it was mailed.
    pub user_id: i64,
    /// The address that it is about.
    pub address: Option<String>,
    created_at: DateTime<Utc>,
}

/// Separates these tokens from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: tokens in mails, 1";

/// The token that a job mails to a user. Every run of the job gets the same one, so that whichever mail arrives works.
///
/// # Errors
/// As [`Keys::of_access`].
pub fn of_job(keys: &Keys, job: Uuid, kind: Kind) -> Result<String> {
    let signed = keys.of_access(PURPOSE)?.sign(format!("{}:{job}", kind.name()).as_bytes())?;
    Ok(hex::encode(signed.finalize().into_bytes()))
}

/// Makes the token of a job valid, and returns it. The last run decides when it expires. `None` if it was used or revoked.
///
/// # Errors
/// As [`of_job`].
pub async fn issue(
    keys: &Keys,
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    new: New<'_>,
) -> Result<Option<String>> {
    let token = of_job(keys, new.job, new.kind)?;
    let issued = db
        .execute_raw(sql(
            db,
            "INSERT INTO account_tokens (id, kind, user_id, hash, address, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET expires_at = $7 WHERE account_tokens.used_at IS NULL",
            [
                new.job.into(),
                new.kind.name().into(),
                new.user_id.into(),
                hash(&token).into(),
                new.address.map(ToOwned::to_owned).into(),
                at(now),
                at(new.expires_at),
            ],
        ))
        .await?;
    Ok((issued.rows_affected() == 1).then_some(token))
}

/// What a token of one of these kinds is about.
///
/// # Errors
/// [`Error::Gone`] if it is not valid, or not any more.
pub async fn find(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    kinds: &[Kind],
    token: &str,
) -> Result<Token> {
    let text = "SELECT kind, user_id, address, created_at FROM account_tokens
         WHERE hash = $1 AND used_at IS NULL AND expires_at > $2";
    let row = db.query_one_raw(sql(db, text, [hash(token).into(), at(now)])).await?;
    let found = row.as_ref().map(Token::read).transpose()?.flatten();
    found
        .filter(|token| kinds.contains(&token.kind))
        .ok_or_else(|| Error::Gone("the link has expired or was used already".into()))
}

impl Token {
    fn read(row: &QueryResult) -> Result<Option<Self>> {
        let kind: String = row.try_get("", "kind")?;
        let Some(kind) = Kind::ALL.into_iter().find(|one| one.name() == kind) else { return Ok(None) };
        Ok(Some(Self {
            kind,
            user_id: row.try_get("", "user_id")?,
            address: row.try_get("", "address")?,
            created_at: row.try_get("", "created_at")?,
        }))
    }
}

/// Uses a token of a user, whose row is locked. The others of its kind are void from then on; those that restore an
/// address, only if they are about later changes, so that nobody voids the way back to the first address.
///
/// # Errors
/// As [`find`].
pub async fn use_up(
    tx: &Transaction,
    now: DateTime<Utc>,
    kind: Kind,
    user_id: i64,
    token: &str,
) -> Result<Token> {
    let found = find(tx, now, &[kind], token).await?;
    let since = if kind == Kind::EmailUndo { found.created_at } else { DateTime::UNIX_EPOCH };
    let text = "UPDATE account_tokens SET used_at = $2
         WHERE user_id = $1 AND used_at IS NULL AND kind = $3 AND created_at >= $4";
    tx.execute_raw(sql(tx, text, [user_id.into(), at(now), kind.name().into(), at(since)])).await?;
    Ok(found)
}

/// Invalidates the tokens of a user, except those that restore an address: whoever has taken an account over must not
/// void them.
pub async fn revoke_all(db: &impl ConnectionTrait, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    let text = "UPDATE account_tokens SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL AND kind <> $3";
    db.execute_raw(sql(db, text, [user_id.into(), at(now), Kind::EmailUndo.name().into()])).await?;
    Ok(())
}

/// Invalidates the tokens that would replace the address of a user.
pub async fn revoke_changes(db: &impl ConnectionTrait, now: DateTime<Utc>, user_id: i64) -> Result<()> {
    let text = "UPDATE account_tokens SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL AND kind = $3";
    db.execute_raw(sql(db, text, [user_id.into(), at(now), Kind::EmailChange.name().into()])).await?;
    Ok(())
}

/// Whether another user can still get this address back.
pub async fn is_reserved(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    address: &str,
    user_id: Option<i64>,
) -> Result<bool> {
    let text = "SELECT 1 FROM account_tokens
         WHERE address = $1 AND kind = $2 AND used_at IS NULL AND expires_at > $3 AND user_id <> $4";
    let kind = Kind::EmailUndo.name();
    let values = [address.into(), kind.into(), at(now), user_id.unwrap_or_default().into()];
    Ok(db.query_one_raw(sql(db, text, values)).await?.is_some())
}

/// The address that a job's token is about, if that is still valid.
pub async fn address_of_job(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    job: Uuid,
) -> Result<Option<String>> {
    let text = "SELECT address FROM account_tokens WHERE id = $1 AND used_at IS NULL AND expires_at > $2";
    let row = db.query_one_raw(sql(db, text, [job.into(), at(now)])).await?;
    Ok(row.map(|row| row.try_get("", "address")).transpose()?.flatten())
}

fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}
