//! Messages and what became of them.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use serde::Deserialize;
use shared::{
    app::App,
    base::page::Page,
    parking::notifications::deliveries::{self, STATES},
};

use super::super::{views::ROWS, visitor::Visitor};
use crate::{
    http::{params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin/deliveries", get(list))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    state: String,
    after: String,
}

async fn list(State(app): State<App>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Answer<Response> {
    let state = STATES.into_iter().find(|state| *state == wanted.state);
    let page = Page { limit: ROWS, after: wanted.after.parse().ok() };
    let list = deliveries::list(&app, state, None, &page).await?;
    let next = list.next(|row| row.job_id).flatten().map(|id| id.to_string());
    let rows: Vec<Value> = (list.items.iter())
        .map(|row| {
            context! {
                kind => &row.kind, channel => &row.channel, user_id => row.user_id, state => &row.state,
                attempts => row.attempts, error => row.error.as_deref(), at => visitor.instant(row.updated_at),
            }
        })
        .collect();
    let values = context! { rows, next, first => !wanted.after.is_empty(), state, states => STATES };
    visitor.page("admin/deliveries.html", values)
}
