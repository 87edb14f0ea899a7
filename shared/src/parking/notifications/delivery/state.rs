//! The state of a message: in its row, which decides, and in Redis, for monitoring.

use redis::{AsyncCommands, RedisResult, aio::ConnectionManager};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::{
    app::App,
    base::{error::Result, time::rfc3339},
    platform::db::{at, sql},
};

/// Why a message is held.
pub(super) const HELD: &str = "it may have been sent already; requeue the job to send it again";

/// How long Redis keeps the state.
const TTL_SECONDS: u64 = 24 * 3600;

/// Stores a state other than `sent`, unless the message was sent or another attempt has begun.
///
/// Nothing is awaited after the row says `ambiguous`: a run that a shutdown interrupted there would look like one that an
/// operator has requeued.
pub(super) async fn set_unsent(
    app: &App,
    key: &str,
    attempts: i64,
    state: &'static str,
    error: &str,
) -> Result<()> {
    publish(app, key, state).await;
    let db = app.db.write();
    db.execute_raw(sql(
        db,
        "UPDATE email_deliveries SET state = $3, error = $4, updated_at = $5
         WHERE key = $1 AND attempts = $2 AND state <> 'sent'",
        [key.into(), attempts.into(), state.into(), error.into(), at(app.clock.now())],
    ))
    .await?;
    Ok(())
}

/// Publishes the state in Redis. Best effort.
pub(super) async fn publish(app: &App, key: &str, state: &str) {
    let value = json!({ "state": state, "at": rfc3339(app.clock.now()) }).to_string();
    let redis_key = app.redis.keys().mail(key);
    let set = async |mut redis: ConnectionManager| redis.set_ex(redis_key, value, TTL_SECONDS).await;
    let published: RedisResult<()> = app.redis.notifications.query(set).await;
    if let Err(error) = published {
        tracing::debug!(%error, mail.key = key, "cannot publish the state of a message");
    }
}
