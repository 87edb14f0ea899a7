//! The audit table: who did what, when and from where.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::{
    app::App,
    base::time::wire,
    parking::audit::{self, Row},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::Admin,
        paging::{Linked, PageQuery, Paging},
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// Something that an administrator or operator did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRow {
    id: i64,
    #[serde(with = "wire")]
    at: DateTime<Utc>,
    /// The administrator; null on the command line.
    actor_id: Option<i64>,
    /// The address of the client, `command line`, `settings` or `schedule`.
    #[schema(example = "203.0.113.7")]
    origin: String,
    /// Such as `role_changed`, `lot_changed`, `user_deleted` or `bill_waived`.
    #[schema(example = "bill_waived")]
    action: String,
    /// `user`, `lot`, `reservation` or `installation`.
    #[schema(example = "reservation")]
    object_kind: String,
    #[schema(example = 7)]
    object_id: Option<i64>,
    /// What changed, by action.
    #[schema(value_type = Object)]
    details: Map<String, Value>,
}

impl From<Row> for AuditRow {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.at,
            actor_id: row.actor_id,
            origin: row.origin,
            action: row.action,
            object_kind: row.object_kind,
            object_id: row.object_id,
            details: serde_json::from_str(&row.details).unwrap_or_default(),
        }
    }
}

/// The audit table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Audit {
    msg: &'static str,
    rows: Vec<AuditRow>,
}

/// List who did what: changed roles, lots and prices, deleted users and lots, verified and refunded payments, waived bills.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", params(PageQuery), responses(
    (status = 200, description = "Newest first", body = Audit),
))]
pub(crate) async fn list_audit(State(app): State<App>, _: Admin, paging: Paging) -> Answer<Linked<Audit>> {
    let list = audit::list(&app, &paging.page).await?;
    let next = list.next(|row| row.id);
    let rows = list.items.into_iter().map(AuditRow::from).collect();
    Ok(paging.answer(next, Audit { msg: "audit", rows }))
}
