//! A stay at a lot of the visitor: its arrival, its end, the payment and the receipt.

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
    parking::{
        bookings::{self, Reservation},
        rules::payment::Payment,
    },
    platform::idempotency::Idempotency,
};

use super::{
    super::{
        form::Form,
        parking::payment,
        visitor::{Visitor, see},
    },
    lots,
};
use crate::{
    http::{params::Path, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/work/stays/{id}", get(show))
        .route("/ui/work/stays/{id}/arrive", post(arrive))
        .route("/ui/work/stays/{id}/leave", post(leave))
        .route("/ui/work/stays/{id}/pay", post(pay))
}

async fn page(app: &App, visitor: &Visitor, id: i64) -> Result<Value> {
    let who = visitor.user()?;
    let row = bookings::find(app, &who, id).await?;
    // A stay of their own at another lot is on the pages for drivers.
    bookings::check_on_duty(app.db.read(), &who, row.lot_id).await?;
    Ok(context! { r => lots::stay(visitor, &row, app.clock.now()), of_visitor => row.user_id == who.user_id })
}

async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Answer<Response> {
    visitor.page("work/stay.html", page(&app, &visitor, id).await?)
}

/// The page after a form: the stay again, with what was done or what is wrong.
async fn after(
    app: &App,
    visitor: &Visitor,
    form: &Form,
    id: i64,
    done: Result<Reservation>,
    key: &str,
) -> Answer<Response> {
    match done {
        Ok(_) => Ok(see(&format!("/ui/work/stays/{id}?done={key}"))),
        Err(error) => {
            let values = page(app, visitor, id).await?;
            visitor.rejected("work/stay.html", lots::of_driver(error), form, values)
        }
    }
}

async fn arrive(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let done = bookings::occupy_spot(&app, &visitor.user()?, id).await;
    after(&app, &visitor, &form, id, done, "let-in").await
}

async fn leave(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let user = visitor.user()?;
    let done = bookings::release_spot(&app, &user, id, Payment::default(), Idempotency::none()).await;
    after(&app, &visitor, &form, id, done, "let-out").await
}

async fn pay(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>, form: Form) -> Answer<Response> {
    let done = bookings::pay(&app, &visitor.user()?, id, payment(&form), Idempotency::none()).await;
    after(&app, &visitor, &form, id, done, "taken").await
}
