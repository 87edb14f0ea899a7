//! Unpaid stays, and waiving their bills.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use minijinja::{Value, context};
use shared::{
    Result,
    app::App,
    base::page::Page,
    parking::{bookings, rules::payment::PaymentState},
    platform::idempotency::Idempotency,
};

use super::super::{
    form::Form,
    views::{self, After, ROWS},
    visitor::{Visitor, see},
};
use crate::{
    http::{
        params::{Path, Query},
        problem::Answer,
    },
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin/unpaid", get(list)).route("/ui/admin/unpaid/{id}/waive", post(waive))
}

async fn page(app: &App, visitor: &Visitor, after: &str) -> Result<Value> {
    let (page, now) = (Page { limit: ROWS, after: after.parse().ok() }, app.clock.now());
    let list = bookings::list(app, Some(PaymentState::Unpaid), &page).await?;
    let next = list.next(|row| row.id);
    let rows: Vec<Value> = (list.items.iter())
        .map(|row| context! { user_id => row.user_id, ..views::reservation(visitor, row, now) })
        .collect();
    Ok(context! { rows, next, first => !after.is_empty(), back => "/ui/admin/unpaid" })
}

async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(After { after }): Query<After>,
) -> Answer<Response> {
    visitor.page("admin/unpaid.html", page(&app, &visitor, &after).await?)
}

async fn waive(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let user = visitor.user()?;
    match bookings::waive(&app, &user, id, form.text("reason"), Idempotency::none()).await {
        Ok(_) => Ok(see("/ui/admin/unpaid?done=waived")),
        Err(error) => {
            let values =
                context! { prefix => format!("{id}-"), section => id, ..page(&app, &visitor, "").await? };
            visitor.rejected("admin/unpaid.html", error, &form, values)
        }
    }
}
