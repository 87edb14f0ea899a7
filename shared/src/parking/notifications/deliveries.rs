//! The list of messages and what became of them, for administrators.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    app::App,
    base::{
        error::Result,
        page::{Page, Paged},
    },
    platform::entities::email_delivery::{Column, Entity, Model},
};

/// The states of a message.
pub const STATES: [&str; 4] = ["sending", "sent", "refused", "ambiguous"];

/// Messages, optionally of one state or kind, by the job that last tried to send them, newest first.
pub async fn list(
    app: &App,
    state: Option<&str>,
    kind: Option<&str>,
    page: &Page<Uuid>,
) -> Result<Paged<Model>> {
    let mut found = Entity::find().filter(Column::JobId.is_not_null()).order_by_desc(Column::JobId);
    if let Some(state) = state {
        found = found.filter(Column::State.eq(state));
    }
    if let Some(kind) = kind {
        found = found.filter(Column::Kind.eq(kind));
    }
    if let Some(after) = page.after {
        found = found.filter(Column::JobId.lt(after));
    }
    let limit = u64::try_from(page.fetch_limit()).unwrap_or(u64::MAX);
    Ok(page.trim(found.limit(limit).all(app.db.read()).await?))
}
