//! Reading the table.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use crate::{
    app::App,
    base::{
        error::Result,
        page::{Page, Paged},
    },
    platform::db::sql,
};

/// A row.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Row {
    /// Ascending in time.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who; `None` on the command line.
    pub actor_id: Option<i64>,
    /// From where: an address, `command line` or `settings`.
    pub origin: String,
    /// What, an [`Action`](super::Action) by name.
    pub action: String,
    /// What kind of thing it was done to.
    pub object_kind: String,
    /// Which one.
    pub object_id: Option<i64>,
    /// A JSON object.
    pub details: String,
}

/// The rows, newest first.
pub async fn list(app: &App, page: &Page) -> Result<Paged<Row>> {
    let db = app.db.read();
    let text = "SELECT id, at, actor_id, origin, action, object_kind, object_id, details FROM audit
        WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let values = [page.after.unwrap_or(i64::MAX).into(), page.fetch_limit().into()];
    Ok(page.trim(Row::find_by_statement(sql(db, text, values)).all(db).await?))
}
