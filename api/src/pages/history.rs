//! The stays of a driver, with their bills.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use shared::{
    app::App,
    base::page::{Page, TimeCursor},
    parking::bookings::stays::{self, Stay},
};

use super::{
    views::{self, After, ROWS},
    visitor::Visitor,
};
use crate::{
    http::{params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/history", get(show))
}

async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(After { after }): Query<After>,
) -> Answer<Response> {
    let (user, now) = (visitor.user()?, app.clock.now());
    let page = Page { limit: ROWS, after: after.parse::<TimeCursor>().ok() };
    let list = stays::history(&app, user.user_id, &page).await?;
    let next = list.next(Stay::moment).map(|moment| moment.to_string());
    let rows: Vec<Value> =
        list.items.iter().map(|stay| views::reservation(&visitor, &stay.reservation, now)).collect();
    visitor.page("history.html", context! { rows, next, first => !after.is_empty() })
}
