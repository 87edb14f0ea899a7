//! Booking, occupying and releasing a spot, and the reservations of a user.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    parking::{
        accounts,
        bookings::{self, Reservation, Shown},
        rules::payment::Payment,
    },
    platform::cache::{Group, Recipe},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::CurrentUser,
        body, cached,
        etag::IfNoneMatch,
        fields::{integer, optional_integer_or_text, optional_text_or_integer},
        idempotency::{IdempotencyKey, Once, located, reply},
        paging::{PageQuery, Paging},
        params::{Path, Query},
        problem::{Answer, Problem},
    },
    openapi::schemas::optional_id,
    routes::reservation_views::{OneReservation, ReservationView, next_change},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(book_spot))
        .routes(routes!(occupy_spot))
        .routes(routes!(release_spot))
        .route("/booking/{action}", axum::routing::post(unknown_action))
        .routes(routes!(list_reservations_of_user))
}

/// Where to park.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BookSpot {
    #[serde(deserialize_with = "integer")]
    lot_id: i64,
    /// Which of your vehicles parks; by default the first one.
    #[serde(default, deserialize_with = "optional_integer_or_text")]
    #[schema(schema_with = optional_id)]
    vehicle_id: Option<i64>,
}

/// Which reservation starts.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct OccupySpot {
    #[serde(deserialize_with = "integer")]
    reservation_id: i64,
}

/// Which parking session ends, and how it is paid.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ReleaseSpot {
    #[serde(deserialize_with = "integer")]
    reservation_id: i64,
    #[serde(default, deserialize_with = "optional_text_or_integer")]
    #[schema(max_length = 50, pattern = "^[^\\x00]*$")]
    transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash` or another name.
    #[schema(max_length = 20, pattern = "^[^\\x00]*$")]
    payment_method: Option<String>,
}

/// A user's reservations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserReservations {
    msg: &'static str,
    /// The username.
    user: String,
    reservations: Vec<ReservationView>,
}

/// Book a spot: start a parking session now on a free spot of the lot.
#[utoipa::path(post, path = "/booking/book-spot", tag = "bookings", request_body = BookSpot, params(IdempotencyKey), responses(
    (status = 201, description = "The parking session has started", body = OneReservation, headers(("Location"))),
    (status = 404, description = "No such lot or vehicle"),
    (status = 409, description = "The lot is full, or you are already parked"),
))]
pub(crate) async fn book_spot(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<body::Json<BookSpot>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let booked = move |reservation: &Reservation| {
        let body = OneReservation::new("spot booked", reservation, now);
        located(format!("/api/reservations/{}", reservation.id), &body)
    };
    let book = |body::Json(body): body::Json<BookSpot>, keep| {
        bookings::book_spot(&app, user.user_id, body.lot_id, body.vehicle_id, keep)
    };
    once.answer(&app, user.user_id, booked, book).await
}

/// Occupy a reserved spot: start its parking session.
#[utoipa::path(post, path = "/booking/occupy-spot", tag = "bookings", request_body = OccupySpot, responses(
    (status = 200, description = "The parking session has started", body = OneReservation),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "The reservation cannot start now"),
))]
pub(crate) async fn occupy_spot(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    body::Json(body): body::Json<OccupySpot>,
) -> Answer<Json<OneReservation>> {
    let reservation = bookings::occupy_spot(&app, &user, body.reservation_id).await?;
    let reservation = ReservationView::new(&reservation, app.clock.now()).occupied();
    Ok(Json(OneReservation { msg: "spot occupied", reservation }))
}

/// Release a spot: end the parking session and bill it.
///
/// Repeating the request returns the same bill.
#[utoipa::path(post, path = "/booking/release-spot", tag = "bookings", request_body = ReleaseSpot, params(IdempotencyKey), responses(
    (status = 200, description = "The bill", body = OneReservation),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "No parking session is running, or it was already paid differently"),
))]
pub(crate) async fn release_spot(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<body::Json<ReleaseSpot>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let released = move |reservation: &Reservation| {
        reply(StatusCode::OK, &OneReservation::new("spot released", reservation, now))
    };
    let release = |body::Json(body): body::Json<ReleaseSpot>, keep| {
        let payment = Payment { transaction_id: body.transaction_id, method: body.payment_method };
        bookings::release_spot(&app, &user, body.reservation_id, payment, keep)
    };
    once.answer(&app, user.user_id, released, release).await
}

async fn unknown_action(_: CurrentUser) -> Response {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unknown_action",
        "the action must be book-spot, occupy-spot or release-spot",
    )
    .into_response()
}

/// Which reservations are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StateFilter {
    /// `upcoming`, `active`, `completed` or `all`; without it, stays that run or have ended.
    #[param(pattern = "^(upcoming|active|completed|all)$")]
    state: Option<String>,
}

/// List a user's reservations.
///
/// Users see their own, administrators everybody's.
///
/// Without `state`, the list has the stays that run or have ended, but no reservations whose driver has not arrived.
#[utoipa::path(get, path = "/users/{id}/reservations", tag = "bookings",
    params(("id" = String, Path, description = "User id, or `me`", pattern = "^(me|[0-9]{1,18})$"), StateFilter, PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = UserReservations),
    (status = 403, description = "The reservations of another user"),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn list_reservations_of_user(
    State(app): State<App>,
    caller: CurrentUser,
    Path(user): Path<String>,
    Query(StateFilter { state }): Query<StateFilter>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    let shown = state.map_or(Ok(Shown::default()), |state| state.parse::<Shown>());
    let shown = shown.map_err(|why| Error::invalid("state", why))?;
    let user = user.try_into().map_err(|_| Error::invalid("id", "must be a whole number, or me"))?;
    let id = caller.acting_for(user)?;
    let recipe = Recipe {
        key: format!("user_reservations:{id}:{}", shown.as_str()),
        groups: vec![Group::Catalog, Group::User(id)],
        ttl: app.config.cache.reservations,
    };
    cached::list(&app, &headers, &paging, recipe, move |app, page| async move {
        let user = accounts::by_id(&app, id).await?.username;
        let list = bookings::of_user(&app, id, shown, &page).await?;
        let next = list.next(|row| row.id);
        let now = app.clock.now();
        let changes_at = next_change(&list.items, now);
        let reservations = list.items.iter().map(|row| ReservationView::new(row, now)).collect();
        let list = UserReservations { msg: "reservations", user, reservations };
        Ok(cached::until(changes_at, cached::list_entry(next, &list)?))
    })
    .await
}
