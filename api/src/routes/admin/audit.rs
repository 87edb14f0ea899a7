//! The audit table: who did what, when and from where.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::{
    Error, Result,
    app::App,
    base::time::{self, wire},
    parking::audit::{self, Filter, Row},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::Admin,
        paging::{Linked, PageQuery, Paging},
        params::Query,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// Which rows of the audit table; without any of these, all.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilter {
    /// Rows of what this user did.
    actor_id: Option<i64>,
    /// Rows about this kind of object: `user`, `lot`, `reservation`, `jobs` or `installation`.
    object_kind: Option<String>,
    /// Rows about the object with this id.
    object_id: Option<i64>,
    /// Rows with this action.
    action: Option<String>,
    /// Rows from this time or later. A time or day without an offset is in the time zone of the installation.
    from: Option<String>,
    /// Rows from before this time.
    to: Option<String>,
}

impl AuditFilter {
    fn checked(self, app: &App) -> Result<Filter> {
        let instant = |name: &str, text: Option<String>| {
            let read =
                |text: String| time::parse(&text, app.config.zone).map_err(|why| Error::invalid(name, why));
            text.map(read).transpose()
        };
        Ok(Filter {
            actor_id: self.actor_id,
            object_kind: self.object_kind,
            object_id: self.object_id,
            action: self.action,
            from: instant("from", self.from)?,
            until: instant("to", self.to)?,
        })
    }
}

/// Something that was done, or refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditRow {
    id: i64,
    #[serde(with = "wire")]
    at: DateTime<Utc>,
    /// The user who did it; null on the command line, and for a login that was refused.
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
    /// The place in the chain; null for some seconds after the row was written.
    seq: Option<i64>,
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
            seq: row.seq,
        }
    }
}

/// The audit table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Audit {
    msg: &'static str,
    rows: Vec<AuditRow>,
}

/// List who did what: logins and refusals, changed roles, passwords, lots and prices, deleted users and lots, verified and
/// refunded payments, waived bills, exports, control of jobs.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", params(AuditFilter, PageQuery), responses(
    (status = 200, description = "Newest first", body = Audit),
    (status = 400, description = "A filter is invalid"),
))]
pub(crate) async fn list_audit(
    State(app): State<App>,
    _: Admin,
    Query(filter): Query<AuditFilter>,
    paging: Paging,
) -> Answer<Linked<Audit>> {
    let list = audit::list(&app, &filter.checked(&app)?, &paging.page).await?;
    let next = list.next(|row| row.id);
    let rows = list.items.into_iter().map(AuditRow::from).collect();
    Ok(paging.answer(next, Audit { msg: "audit", rows }))
}
