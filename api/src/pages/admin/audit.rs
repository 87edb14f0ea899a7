//! Who did what to whom.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use shared::{
    app::App,
    base::page::Page,
    parking::audit::{self, Filter},
};

use super::super::{
    views::{After, ROWS},
    visitor::Visitor,
};
use crate::{
    http::{params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin/audit", get(list))
}

async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(After { after }): Query<After>,
) -> Answer<Response> {
    let list =
        audit::list(&app, &Filter::default(), &Page { limit: ROWS, after: after.parse().ok() }).await?;
    let next = list.next(|row| row.id);
    let rows: Vec<Value> = (list.items.iter())
        .map(|row| {
            context! {
                at => visitor.instant(row.at), actor => row.actor_id, origin => &row.origin, action => &row.action,
                kind => &row.object_kind, object => row.object_id, details => &row.details,
            }
        })
        .collect();
    visitor.page("admin/audit.html", context! { rows, next, first => !after.is_empty() })
}
