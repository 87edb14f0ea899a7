//! A user's open sessions and when each was last active.

use chrono::{DateTime, Utc};
use redis::AsyncCommands;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::{app::App, base::error::Result, platform::entities::session};

/// An open session.
#[derive(Debug, Clone)]
pub struct Session {
    /// The row in the database.
    pub row: session::Model,
    /// To the minute; `None` if that was more than twelve hours ago or Redis does not know.
    pub last_active_at: Option<DateTime<Utc>>,
}

/// The user's open sessions, newest first.
pub async fn list(app: &App, user_id: i64) -> Result<Vec<Session>> {
    let rows = session::Entity::find()
        .filter(session::Column::UserId.eq(user_id))
        .filter(session::Column::EndedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(app.clock.now()))
        .order_by_desc(session::Column::CreatedAt)
        .all(app.db.read())
        .await?;
    let last_active = last_active(app, &rows).await;
    let session = |(row, seconds): (_, Option<i64>)| Session {
        row,
        last_active_at: seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
    };
    Ok(rows.into_iter().zip(last_active).map(session).collect())
}

/// In seconds since 1970, as far as Redis knows.
async fn last_active(app: &App, rows: &[session::Model]) -> Vec<Option<i64>> {
    let keys: Vec<String> = rows.iter().map(|row| app.redis.keys().user_session(row.id)).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    let last_active = app.redis.query(async |mut redis| redis.mget(keys).await).await;
    last_active.unwrap_or_else(|_| vec![None; rows.len()])
}
