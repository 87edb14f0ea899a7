//! What a driver does with reservations: arrive, extend, cancel, leave and pay.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use minijinja::{Value, context};
use shared::{
    Error, Result,
    app::App,
    base::{page::Page, time},
    parking::{
        bookings::{self, NewWindow, Reservation, Shown},
        rules::payment::Payment,
    },
    platform::idempotency::Idempotency,
};

use super::{
    form::Form,
    views,
    visitor::{Visitor, see},
};
use crate::{
    http::{params::Path, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/parking", get(show))
        .route("/ui/reservations/{id}", get(show_reservation))
        .route("/ui/reservations/{id}/arrive", post(arrive))
        .route("/ui/reservations/{id}/leave", post(leave))
        .route("/ui/reservations/{id}/extend", post(extend))
        .route("/ui/reservations/{id}/cancel", post(cancel))
        .route("/ui/reservations/{id}/pay", post(pay))
}

/// What runs, and what is reserved.
async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    let (user, page, now) = (visitor.user()?, Page::default(), app.clock.now());
    let views = |rows: Vec<Reservation>| -> Vec<Value> {
        rows.iter().map(|row| views::reservation(&visitor, row, now)).collect()
    };
    let active = bookings::of_user(&app, user.user_id, Shown::Active, &page).await?.items;
    let mut upcoming = bookings::of_user(&app, user.user_id, Shown::Upcoming, &page).await?.items;
    upcoming.sort_by_key(|row| row.starts_at);
    visitor.page("parking.html", context! { active => views(active), upcoming => views(upcoming) })
}

async fn details(app: &App, visitor: &Visitor, id: i64) -> Result<Value> {
    let row = bookings::find(app, &visitor.user()?, id).await?;
    Ok(context! { r => views::reservation(visitor, &row, app.clock.now()) })
}

async fn show_reservation(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Answer<Response> {
    let values = details(&app, &visitor, id).await?;
    visitor.page("reservation.html", values)
}

/// The page after a form: where it leads, or the reservation with what is wrong.
async fn after(
    app: &App,
    visitor: &Visitor,
    form: &Form,
    id: i64,
    done: Result<Reservation>,
    next: String,
) -> Answer<Response> {
    match done {
        Ok(_) => Ok(see(&next)),
        Err(error) => visitor.rejected("reservation.html", error, form, details(app, visitor, id).await?),
    }
}

async fn arrive(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let done = bookings::occupy_spot(&app, &visitor.user()?, id).await;
    after(&app, &visitor, &form, id, done, "/ui/parking?done=arrived".into()).await
}

pub(super) fn payment(form: &Form) -> Payment {
    Payment { transaction_id: form.optional("transaction_id"), method: form.optional("payment_method") }
}

async fn leave(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let done = bookings::release_spot(&app, &visitor.user()?, id, payment(&form), Idempotency::none()).await;
    after(&app, &visitor, &form, id, done, format!("/ui/reservations/{id}?done=left")).await
}

async fn pay(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>, form: Form) -> Answer<Response> {
    let done = bookings::pay(&app, &visitor.user()?, id, payment(&form), Idempotency::none()).await;
    after(&app, &visitor, &form, id, done, format!("/ui/reservations/{id}?done=paid")).await
}

async fn extend(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let user = visitor.user()?;
    let done = match time::parse(form.text("until"), app.config.zone) {
        Ok(until) => bookings::reschedule(&app, &user, id, NewWindow { from: None, to: Some(until) }).await,
        Err(why) => Err(Error::invalid("/until", why)),
    };
    let done = done.map_err(|error| match error {
        Error::Invalid(mut fields) => {
            fields.iter_mut().for_each(|field| field.pointer = "/until".into());
            Error::Invalid(fields)
        }
        other => other,
    });
    after(&app, &visitor, &form, id, done, format!("/ui/reservations/{id}?done=extended")).await
}

async fn cancel(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let user = visitor.user()?;
    match bookings::cancel(&app, &user, id).await {
        Ok(()) => Ok(see("/ui/parking?done=cancelled")),
        Err(error) => visitor.rejected("reservation.html", error, &form, details(&app, &visitor, id).await?),
    }
}
