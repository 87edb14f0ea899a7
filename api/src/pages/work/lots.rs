//! A lot as its attendants see it: cars that arrive and leave by their plate, every spot, the windows of today, and unpaid stays.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use serde::Deserialize;
use shared::{
    Error, Result,
    app::App,
    base::page::Page,
    parking::{
        bookings::{self, Reservation},
        lots::{
            self, Moment, Sort, When,
            spots::{self, Spot},
        },
        rules::payment::Payment,
    },
    platform::idempotency::Idempotency,
};

use super::{
    super::{
        form::Form,
        views::{self, ROWS},
        visitor::{Visitor, see},
    },
    live,
};
use crate::{
    http::{
        params::{Path, Query},
        problem::Answer,
    },
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/work", get(list))
        .route("/ui/work/lots/{id}", get(show))
        .route("/ui/work/lots/{id}/arrive", post(arrive))
        .route("/ui/work/lots/{id}/leave", post(leave))
}

/// Spots on a page.
const SPOTS: i64 = 200;

/// The lots at which the visitor works.
async fn list(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    let (who, all) = (visitor.user()?, Page::default());
    let found = if who.is_admin {
        lots::list(&app, &all, When::Now(Moment::of(&app))).await?
    } else {
        lots::assigned_to(&app, who.user_id, &all).await?
    };
    let lots: Vec<Value> = lots::search(found.items, "", Sort::Name).iter().map(views::lot).collect();
    visitor.page("work/lots.html", context! { lots })
}

/// Which spots are shown, and the stay that has just begun.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    after: String,
    stay: String,
}

async fn page(app: &App, visitor: &Visitor, id: i64, wanted: &Wanted) -> Result<Value> {
    let (who, before) = (visitor.user()?, live::tomorrow(app));
    bookings::check_on_duty(app.db.read(), &who, id).await?;
    // Read first, so that a change during the next statements is noticed.
    let version = live::version(app, id).await?;
    let lot = lots::find(app, id, When::Now(Moment::of(app))).await?;
    let shown = spots::of_lot(app, id, &Page { limit: SPOTS, after: wanted.after.parse().ok() }).await?;
    let next = shown.next(|spot| spot.number);
    let unpaid = bookings::unpaid_at(app, id, &Page { limit: ROWS, after: None }).await?;
    let spots: Vec<Value> = shown.items.iter().map(|spot| spot_view(visitor, spot)).collect();
    let windows = bookings::expected_at(app, id, before).await?;
    let windows: Vec<Value> = windows.iter().map(|row| stay(visitor, row, app.clock.now())).collect();
    let begun = begun(app, visitor, id, &wanted.stay).await?;
    Ok(context! {
        lot => views::lot(&lot), version, spots, windows, begun, next, first => !wanted.after.is_empty(),
        unpaid => unpaid.items.iter().map(|row| stay(visitor, row, app.clock.now())).collect::<Vec<_>>(),
        more_unpaid => unpaid.more, plates => bookings::plates_at(app, id, before).await?,
    })
}

fn spot_view(visitor: &Visitor, spot: &Spot) -> Value {
    let holder = spot.holder.as_ref();
    context! {
        number => spot.number, status => spot.status.as_str(), stay => holder.map(|holder| holder.reservation_id),
        plate => holder.and_then(|holder| holder.plate.as_deref()),
        since => holder.map(|holder| visitor.moment(holder.from)),
        until => holder.and_then(|holder| holder.until).map(|until| visitor.moment(until)),
    }
}

/// A stay, with times that are short today.
pub(super) fn stay(visitor: &Visitor, row: &Reservation, now: DateTime<Utc>) -> Value {
    context! {
        from => visitor.moment(row.parking_time()), until => row.leaving_time().map(|until| visitor.moment(until)),
        ..views::reservation(visitor, row, now)
    }
}

/// The stay that the visitor has just let in.
async fn begun(app: &App, visitor: &Visitor, lot_id: i64, id: &str) -> Result<Option<Value>> {
    let Ok(id) = id.parse() else { return Ok(None) };
    match bookings::find(app, &visitor.user()?, id).await {
        Ok(row) if row.lot_id == lot_id => Ok(Some(stay(visitor, &row, app.clock.now()))),
        Ok(_) | Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Query(wanted): Query<Wanted>,
) -> Answer<Response> {
    visitor.page("work/lot.html", page(&app, &visitor, id, &wanted).await?)
}

async fn rejected(app: &App, visitor: &Visitor, id: i64, error: Error, form: &Form) -> Answer<Response> {
    let page = page(app, visitor, id, &Wanted::default()).await?;
    visitor.rejected("work/lot.html", error, form, page)
}

async fn arrive(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let who = visitor.user()?;
    match bookings::arrive_by_plate(&app, &who, id, form.text("plate"), Idempotency::none()).await {
        Ok(stay) => Ok(see(&format!("/ui/work/lots/{id}?done=let-in&stay={}", stay.id))),
        Err(error) => rejected(&app, &visitor, id, of_driver(error), &form).await,
    }
}

/// The message for drivers speaks to them.
pub(super) fn of_driver(error: Error) -> Error {
    match error {
        Error::Conflict { code: "already_parked", message } => {
            Error::Conflict { code: "driver_parked", message }
        }
        other => other,
    }
}

/// The stay ends first, so that the attendant sees what is to be paid.
async fn leave(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let (who, plate, payment) = (visitor.user()?, form.text("plate"), Payment::default());
    match bookings::depart_by_plate(&app, &who, id, plate, payment, Idempotency::none()).await {
        Ok(stay) => Ok(see(&format!("/ui/work/stays/{}?done=let-out", stay.id))),
        Err(Error::NotFound(_)) => {
            rejected(&app, &visitor, id, Error::invalid("/plate", "must be parked here"), &form).await
        }
        Err(error) => rejected(&app, &visitor, id, error, &form).await,
    }
}
