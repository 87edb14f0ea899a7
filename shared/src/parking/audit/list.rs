//! Reading the table.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use crate::{
    app::App,
    base::{
        error::Result,
        page::{Page, Paged},
    },
    platform::db::{at, sql},
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
    /// From where: an address, `command line`, `settings` or `schedule`.
    pub origin: String,
    /// What, an [`Action`](super::Action) by name.
    pub action: String,
    /// What kind of thing it was done to.
    pub object_kind: String,
    /// Which one.
    pub object_id: Option<i64>,
    /// A JSON object.
    pub details: String,
    /// Its place in the chain, once it is linked.
    pub seq: Option<i64>,
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Done by this user.
    pub actor_id: Option<i64>,
    /// Done to this kind of thing.
    pub object_kind: Option<String>,
    /// Done to the one with this id.
    pub object_id: Option<i64>,
    /// This action.
    pub action: Option<String>,
    /// At this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub until: Option<DateTime<Utc>>,
}

/// The rows, newest first.
pub async fn list(app: &App, filter: &Filter, page: &Page) -> Result<Paged<Row>> {
    let db = app.db.read();
    let (mut text, mut values) = (
        "SELECT id, at, actor_id, origin, action, object_kind, object_id, details, seq FROM audit WHERE id < $1".to_owned(),
        vec![page.after.unwrap_or(i64::MAX).into()],
    );
    // Only what is asked for, so that the indexes are used.
    let conditions = [
        ("actor_id =", filter.actor_id.map(Into::into)),
        ("object_kind =", filter.object_kind.clone().map(Into::into)),
        ("object_id =", filter.object_id.map(Into::into)),
        ("action =", filter.action.clone().map(Into::into)),
        ("at >=", filter.from.map(at)),
        ("at <", filter.until.map(at)),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            text.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    }
    values.push(page.fetch_limit().into());
    text.push_str(&format!(" ORDER BY id DESC LIMIT ${}", values.len()));
    Ok(page.trim(Row::find_by_statement(sql(db, &text, values)).all(db).await?))
}
