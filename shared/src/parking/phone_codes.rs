//! Codes that are sent to a phone, to prove that its number belongs to the user. The database has only a keyed hash of each.

use chrono::TimeDelta;
use hmac::Mac;
use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        plural::plural,
    },
    platform::db::{Transaction, at, sql},
};

/// How long a code is valid.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// How often a code may be entered.
const MAX_TRIES: i64 = 5;

/// Separate codes and their hashes from everything else signed with the secret.
const CODES: &[u8] = b"parkade: codes for phones, 1";
const HASHES: &[u8] = b"parkade: hashes of codes for phones, 1";

/// The code of six digits that a job sends to a number of a user. Every run of the job gets the same one.
pub async fn issue(app: &App, job: Uuid, user_id: i64, phone_number: &str) -> Result<String> {
    let signed = app.keys.of_access(CODES)?.sign(job.as_bytes())?.finalize().into_bytes();
    let number = signed.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let code = format!("{:06}", number % 1_000_000);
    let (db, now) = (app.db.write(), app.clock.now());
    db.execute_raw(sql(
        db,
        "INSERT INTO phone_codes (id, user_id, phone_number, hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
        [
            job.into(),
            user_id.into(),
            phone_number.into(),
            hash(app, job, &code)?.into(),
            at(now),
            at(now + LIFETIME),
        ],
    ))
    .await?;
    Ok(code)
}

/// The code cannot be found by trying all of them, as it could with a plain hash.
fn hash(app: &App, job: Uuid, code: &str) -> Result<String> {
    let signed = app.keys.of_access(HASHES)?.sign(format!("{job}:{code}").as_bytes())?;
    Ok(hex::encode(signed.finalize().into_bytes()))
}

#[derive(FromQueryResult)]
struct Latest {
    id: Uuid,
    hash: String,
    tries: i64,
}

/// Counts a try, and passes if this is the latest code that was sent to the number.
///
/// # Errors
/// [`Error::Invalid`] for another code; [`Error::Conflict`] if there is no code, or it was tried too often.
pub async fn check(app: &App, user_id: i64, phone_number: &str, code: &str) -> Result<()> {
    let (db, now) = (app.db.write(), app.clock.now());
    // One statement counts and reads, so that concurrent tries count one by one.
    let text = "UPDATE phone_codes SET tries = tries + 1 WHERE expires_at > $3 AND id = (
            SELECT id FROM phone_codes WHERE user_id = $1 AND phone_number = $2 ORDER BY created_at DESC, id DESC LIMIT 1)
        RETURNING id, hash, tries";
    let values = [user_id.into(), phone_number.into(), at(now)];
    let latest = Latest::find_by_statement(sql(db, text, values)).one(db).await?;
    let Some(Latest { id, hash: expected, tries }) = latest else {
        return Err(Error::conflict("no_code", "no code is valid for your phone number; request one"));
    };
    if tries > MAX_TRIES {
        return Err(Error::conflict("too_many_tries", "the code was tried too often; request another one"));
    }
    if is_equal(&hash(app, id, code)?, &expected) {
        return Ok(());
    }
    let left = match MAX_TRIES - tries {
        0 => "request another one".to_owned(),
        left => format!("{} left", plural(left, "attempt")),
    };
    Err(Error::invalid("/code", format!("is not the code that was sent; {left}")))
}

/// Takes the same time for all texts of a length.
fn is_equal(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// Removes the codes of a user, once one has served.
pub async fn remove_all(tx: &Transaction, user_id: i64) -> Result<()> {
    tx.execute_raw(sql(tx, "DELETE FROM phone_codes WHERE user_id = $1", [user_id.into()])).await?;
    Ok(())
}
