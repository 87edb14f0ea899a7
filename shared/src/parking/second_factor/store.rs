//! The rows of second factors and recovery codes.

use chrono::{DateTime, Utc};
use hmac::Mac;
use sea_orm::ConnectionTrait;

use crate::{
    base::error::Result,
    platform::{
        db::{at, sql},
        keys::{Key, Keys, Purpose},
    },
};

/// Separate the secrets of second factors and the hashes of recovery codes from everything else signed with the secret.
const SECRETS: Purpose = b"parkade: second factors, 1";
const RECOVERY: Purpose = b"parkade: recovery codes, 1";

/// Whether a user has a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether logins need a code.
    pub is_on: bool,
    /// Recovery codes that are left.
    pub recovery_codes: i64,
}

/// The second factor of a user.
#[derive(Debug, Clone)]
pub(super) struct Factor {
    salt: String,
    pub(super) is_confirmed: bool,
}

/// Whether the user has a second factor.
///
/// # Errors
/// Those of the database.
pub async fn status(db: &impl ConnectionTrait, user_id: i64) -> Result<Status> {
    let is_on = find(db, user_id).await?.is_some_and(|factor| factor.is_confirmed);
    Ok(Status { is_on, recovery_codes: recovery_codes_left(db, user_id).await? })
}

pub(super) async fn find(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<Factor>> {
    let text = "SELECT salt, confirmed_at FROM second_factors WHERE user_id = $1";
    let Some(row) = db.query_one_raw(sql(db, text, [user_id.into()])).await? else { return Ok(None) };
    let confirmed: Option<DateTime<Utc>> = row.try_get("", "confirmed_at")?;
    Ok(Some(Factor { salt: row.try_get("", "salt")?, is_confirmed: confirmed.is_some() }))
}

impl Factor {
    /// Its secret: that of the current key, then those of earlier ones.
    pub(super) fn secrets(&self, keys: &Keys, user_id: i64) -> Result<Vec<[u8; 20]>> {
        keys.all_lasting(SECRETS)?.iter().map(|key| secret(key, user_id, &self.salt)).collect()
    }
}

fn secret(key: &Key, user_id: i64, salt: &str) -> Result<[u8; 20]> {
    let signed = key.sign(format!("{user_id}:{salt}").as_bytes())?.finalize().into_bytes();
    let mut secret = [0; 20];
    secret.copy_from_slice(&signed[..20]);
    Ok(secret)
}

/// Replaces a factor that was never confirmed, and returns the new secret.
pub(in crate::parking) async fn insert(
    db: &impl ConnectionTrait,
    keys: &Keys,
    now: DateTime<Utc>,
    user_id: i64,
) -> Result<[u8; 20]> {
    let salt = hex::encode(rand::random::<[u8; 16]>());
    let text = "INSERT INTO second_factors (user_id, salt, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET salt = excluded.salt, created_at = excluded.created_at, last_step = 0
         WHERE second_factors.confirmed_at IS NULL";
    db.execute_raw(sql(db, text, [user_id.into(), salt.clone().into(), at(now)])).await?;
    secret(&keys.lasting(SECRETS)?, user_id, &salt)
}

/// Marks a step as used; returns whether it is later than all that were used before.
pub(super) async fn use_step(db: &impl ConnectionTrait, user_id: i64, step: i64) -> Result<bool> {
    let text = "UPDATE second_factors SET last_step = $2 WHERE user_id = $1 AND last_step < $2";
    Ok(db.execute_raw(sql(db, text, [user_id.into(), step.into()])).await?.rows_affected() == 1)
}

pub(in crate::parking) async fn set_confirmed(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    user_id: i64,
) -> Result<bool> {
    let text = "UPDATE second_factors SET confirmed_at = $2 WHERE user_id = $1 AND confirmed_at IS NULL";
    Ok(db.execute_raw(sql(db, text, [user_id.into(), at(now)])).await?.rows_affected() == 1)
}

/// Removes the factor and the recovery codes; returns whether there was a factor.
pub(in crate::parking) async fn remove(db: &impl ConnectionTrait, user_id: i64) -> Result<bool> {
    remove_recovery_codes(db, user_id).await?;
    let factor = "DELETE FROM second_factors WHERE user_id = $1";
    Ok(db.execute_raw(sql(db, factor, [user_id.into()])).await?.rows_affected() == 1)
}

pub(in crate::parking) async fn remove_recovery_codes(db: &impl ConnectionTrait, user_id: i64) -> Result<()> {
    let text = "DELETE FROM recovery_codes WHERE user_id = $1";
    db.execute_raw(sql(db, text, [user_id.into()])).await.map(drop)?;
    Ok(())
}

/// Locks the factor of a user against other changes of it; returns whether it is on.
pub(in crate::parking) async fn lock(db: &impl ConnectionTrait, user_id: i64) -> Result<bool> {
    let text =
        "UPDATE second_factors SET last_step = last_step WHERE user_id = $1 AND confirmed_at IS NOT NULL";
    Ok(db.execute_raw(sql(db, text, [user_id.into()])).await?.rows_affected() == 1)
}

pub(in crate::parking) async fn add_recovery_code(
    db: &impl ConnectionTrait,
    keys: &Keys,
    user_id: i64,
    normalized: &str,
) -> Result<()> {
    let hash = hash(&keys.lasting(RECOVERY)?, user_id, normalized)?;
    let text = "INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)";
    db.execute_raw(sql(db, text, [user_id.into(), hash.into()])).await?;
    Ok(())
}

/// Uses a recovery code up; returns whether it was there.
pub(super) async fn use_recovery_code(
    db: &impl ConnectionTrait,
    keys: &Keys,
    user_id: i64,
    normalized: &str,
) -> Result<bool> {
    let text = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2";
    for key in keys.all_lasting(RECOVERY)? {
        let values = [user_id.into(), hash(&key, user_id, normalized)?.into()];
        if db.execute_raw(sql(db, text, values)).await?.rows_affected() == 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn recovery_codes_left(db: &impl ConnectionTrait, user_id: i64) -> Result<i64> {
    let text = "SELECT COUNT(*) AS n FROM recovery_codes WHERE user_id = $1";
    let row = db.query_one_raw(sql(db, text, [user_id.into()])).await?;
    Ok(row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or_default())
}

fn hash(key: &Key, user_id: i64, normalized: &str) -> Result<String> {
    Ok(hex::encode(key.sign(format!("{user_id}:{normalized}").as_bytes())?.finalize().into_bytes()))
}
