//! Booking, occupying and releasing a spot, and the reservations of a user.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::{money::Money, time::wire},
    parking::{
        accounts,
        bookings::{self, Payment, Release, Reservation},
    },
    platform::cache::{Group, Recipe},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::CurrentUser,
        body, cached,
        etag::IfNoneMatch,
        fields::integer,
        idempotency::{IdempotencyKey, Once, reply},
        paging::{PageQuery, Paging},
        params::Path,
        problem::{Answer, Problem},
    },
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
    #[schema(max_length = 50, pattern = "^[^\\x00]*$")]
    transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash` or another name.
    #[schema(max_length = 20, pattern = "^[^\\x00]*$")]
    payment_method: Option<String>,
}

/// A parking session that has started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BookedSpot {
    id: i64,
    spot_id: i64,
    lot_name: String,
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    #[serde(with = "wire::option")]
    leaving_time: Option<DateTime<Utc>>,
    #[schema(value_type = f64)]
    parking_cost: Money,
    status: &'static str,
}

impl BookedSpot {
    fn new(reservation: &Reservation) -> Self {
        Self {
            id: reservation.id,
            spot_id: reservation.spot_id,
            lot_name: reservation.lot_name.clone(),
            parking_time: reservation.parking_time,
            leaving_time: reservation.leaving_time,
            parking_cost: reservation.cost,
            status: reservation.state.as_str(),
        }
    }
}

/// A reservation whose parking session has started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OccupiedSpot {
    id: i64,
    spot_id: i64,
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    #[schema(example = "occupied")]
    status: &'static str,
}

/// A parking session that has ended, with its bill.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReleasedSpot {
    id: i64,
    spot_id: i64,
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    #[serde(with = "wire::option")]
    leaving_time: Option<DateTime<Utc>>,
    actual_duration_hours: f64,
    charged_hours: i64,
    #[schema(value_type = f64)]
    parking_cost: Money,
    #[schema(value_type = f64)]
    hourly_rate: Money,
    transaction_id: Option<String>,
    payment_method: Option<String>,
    #[schema(example = "completed")]
    status: &'static str,
}

impl From<Release> for ReleasedSpot {
    fn from(release: Release) -> Self {
        let reservation = release.reservation;
        Self {
            id: reservation.id,
            spot_id: reservation.spot_id,
            parking_time: reservation.parking_time,
            leaving_time: reservation.leaving_time,
            actual_duration_hours: release.hours,
            charged_hours: release.charged_hours,
            parking_cost: reservation.cost,
            hourly_rate: reservation.hourly_rate,
            transaction_id: reservation.transaction_id,
            payment_method: reservation.payment_method,
            status: reservation.state.as_str(),
        }
    }
}

/// A reservation with its lot and payment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationDetails {
    id: i64,
    spot_id: i64,
    lot_name: String,
    lot_address: String,
    #[schema(value_type = f64)]
    lot_price: Money,
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    #[serde(with = "wire::option")]
    leaving_time: Option<DateTime<Utc>>,
    #[schema(value_type = f64)]
    parking_cost: Money,
    transaction_id: Option<String>,
    payment_method: Option<String>,
    status: &'static str,
}

impl From<Reservation> for ReservationDetails {
    fn from(reservation: Reservation) -> Self {
        Self {
            id: reservation.id,
            spot_id: reservation.spot_id,
            lot_name: reservation.lot_name,
            lot_address: reservation.lot_address,
            lot_price: reservation.hourly_rate,
            parking_time: reservation.parking_time,
            leaving_time: reservation.leaving_time,
            parking_cost: reservation.cost,
            transaction_id: reservation.transaction_id,
            payment_method: reservation.payment_method,
            status: reservation.state.as_str(),
        }
    }
}

/// One reservation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneReservation<T> {
    pub(crate) msg: &'static str,
    pub(crate) reservation: T,
}

/// A user's reservations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserReservations {
    msg: &'static str,
    /// The username.
    user: String,
    reservations: Vec<ReservationDetails>,
}

/// Book a spot: start a parking session now on a free spot of the lot.
#[utoipa::path(post, path = "/booking/book-spot", tag = "bookings", request_body = BookSpot, params(IdempotencyKey), responses(
    (status = 201, description = "The parking session has started", body = OneReservation<BookedSpot>),
    (status = 404, description = "No such lot"),
    (status = 409, description = "The lot is full, or you are already parked"),
))]
pub(crate) async fn book_spot(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<body::Json<BookSpot>>,
) -> Answer<Response> {
    let booked = |reservation: &Reservation| {
        reply(
            StatusCode::CREATED,
            &OneReservation { msg: "spot booked", reservation: BookedSpot::new(reservation) },
        )
    };
    let book = |body::Json(body): body::Json<BookSpot>, keep| {
        bookings::book_spot(&app, user.user_id, body.lot_id, keep)
    };
    once.answer(&app, user.user_id, booked, book).await
}

/// Occupy a reserved spot: start its parking session.
#[utoipa::path(post, path = "/booking/occupy-spot", tag = "bookings", request_body = OccupySpot, responses(
    (status = 200, description = "The parking session has started", body = OneReservation<OccupiedSpot>),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "The reservation cannot start now"),
))]
pub(crate) async fn occupy_spot(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    body::Json(body): body::Json<OccupySpot>,
) -> Answer<Json<OneReservation<OccupiedSpot>>> {
    let reservation = bookings::occupy_spot(&app, &user, body.reservation_id).await?;
    let occupied = OccupiedSpot {
        id: reservation.id,
        spot_id: reservation.spot_id,
        parking_time: reservation.parking_time,
        status: "occupied",
    };
    Ok(Json(OneReservation { msg: "spot occupied", reservation: occupied }))
}

/// Release a spot: end the parking session and bill it. Repeating the request returns the same bill.
#[utoipa::path(post, path = "/booking/release-spot", tag = "bookings", request_body = ReleaseSpot, params(IdempotencyKey), responses(
    (status = 200, description = "The bill", body = OneReservation<ReleasedSpot>),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "No parking session is running, or it was already paid differently"),
))]
pub(crate) async fn release_spot(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<body::Json<ReleaseSpot>>,
) -> Answer<Response> {
    let released = |release: &Release| {
        reply(
            StatusCode::OK,
            &OneReservation { msg: "spot released", reservation: ReleasedSpot::from(release.clone()) },
        )
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

/// List a user's reservations. Users see their own, administrators everybody's.
#[utoipa::path(get, path = "/users/{id}/reservations", tag = "bookings",
    params(("id" = i64, Path, description = "User id"), PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = UserReservations),
    (status = 403, description = "The reservations of another user"),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn list_reservations_of_user(
    State(app): State<App>,
    caller: CurrentUser,
    Path(id): Path<String>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    let id = id.parse().map_err(|_| Error::invalid("id", "must be a whole number"))?;
    caller.must_be(id)?;
    let recipe = Recipe {
        key: format!("user_reservations:{id}"),
        groups: vec![Group::Catalog, Group::User(id)],
        ttl: app.config.cache.reservations,
    };
    cached::list(&app, &headers, &paging, recipe, move |app, page| async move {
        let user = accounts::by_id(&app, id).await?.username;
        let list = bookings::of_user(&app, id, &page).await?;
        let next = list.next(|row| row.id);
        let reservations = list.items.into_iter().map(ReservationDetails::from).collect();
        cached::list_entry(next, &UserReservations { msg: "reservations", user, reservations })
    })
    .await
}
