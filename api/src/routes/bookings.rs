//! Booking a spot, arriving, leaving, and a user's reservations.

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

use crate::http::{
    auth::CurrentUser,
    cached::{self, IfNoneMatch},
    extract::{self, Path, whole},
    idempotency::{IdempotencyKey, Once, reply},
    paging::{PageQuery, Paging},
    problem::{Answer, Problem},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
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
    #[serde(deserialize_with = "whole")]
    lot_id: i64,
}

/// Which reservation begins.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct OccupySpot {
    #[serde(deserialize_with = "whole")]
    reservation_id: i64,
}

/// Which session ends, and how it is paid.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ReleaseSpot {
    #[serde(deserialize_with = "whole")]
    reservation_id: i64,
    #[schema(max_length = 50, pattern = "^[^\\x00]*$")]
    transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash`, or another name.
    #[schema(max_length = 20, pattern = "^[^\\x00]*$")]
    payment_method: Option<String>,
}

/// A session that has begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Booked {
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

impl Booked {
    fn of(reservation: &Reservation) -> Self {
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

/// An arrival.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Occupied {
    id: i64,
    spot_id: i64,
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    #[schema(example = "occupied")]
    status: &'static str,
}

/// A session that has ended, with its bill.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Released {
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

impl From<Release> for Released {
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

/// A reservation in its owner's list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationView {
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

impl From<Reservation> for ReservationView {
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

/// An answer about one reservation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct About<T> {
    pub(crate) msg: &'static str,
    pub(crate) reservation: T,
}

/// A user's reservations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reservations {
    msg: &'static str,
    /// Their name.
    user: String,
    reservations: Vec<ReservationView>,
}

/// Start a session now on a free spot of the lot.
#[utoipa::path(post, path = "/booking/book-spot", tag = "bookings", security(("bearer" = [])), request_body = BookSpot, params(IdempotencyKey), responses(
    (status = 201, description = "The spot is yours", body = About<Booked>),
    (status = 404, description = "There is no such lot"),
    (status = 409, description = "The lot is full, or you are parked already"),
))]
pub(crate) async fn book_spot(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    once: Once<extract::Json<BookSpot>>,
) -> Answer<Response> {
    let booked = |reservation: &Reservation| {
        reply(StatusCode::CREATED, &About { msg: "spot booked", reservation: Booked::of(reservation) })
    };
    let book = |extract::Json(body): extract::Json<BookSpot>, keep| {
        bookings::book_spot(&app, who.user_id, body.lot_id, keep)
    };
    once.answer(&app, who.user_id, booked, book).await
}

/// Arrive at a reserved spot.
#[utoipa::path(post, path = "/booking/occupy-spot", tag = "bookings", security(("bearer" = [])), request_body = OccupySpot, responses(
    (status = 200, description = "The session has begun", body = About<Occupied>),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "It cannot begin"),
))]
pub(crate) async fn occupy_spot(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    extract::Json(body): extract::Json<OccupySpot>,
) -> Answer<Json<About<Occupied>>> {
    let reservation = bookings::occupy_spot(&app, &who, body.reservation_id).await?;
    let occupied = Occupied {
        id: reservation.id,
        spot_id: reservation.spot_id,
        parking_time: reservation.parking_time,
        status: "occupied",
    };
    Ok(Json(About { msg: "spot occupied", reservation: occupied }))
}

/// Leave: end the session and get the bill. Repeating it answers the same and bills nothing again.
#[utoipa::path(post, path = "/booking/release-spot", tag = "bookings", security(("bearer" = [])), request_body = ReleaseSpot, params(IdempotencyKey), responses(
    (status = 200, description = "The bill", body = About<Released>),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "There is no session to end, or it was paid otherwise"),
))]
pub(crate) async fn release_spot(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    once: Once<extract::Json<ReleaseSpot>>,
) -> Answer<Response> {
    let released = |release: &Release| {
        reply(StatusCode::OK, &About { msg: "spot released", reservation: Released::from(release.clone()) })
    };
    let release = |extract::Json(body): extract::Json<ReleaseSpot>, keep| {
        let payment = Payment { transaction_id: body.transaction_id, method: body.payment_method };
        bookings::release_spot(&app, &who, body.reservation_id, payment, keep)
    };
    once.answer(&app, who.user_id, released, release).await
}

async fn unknown_action(_: CurrentUser) -> Response {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unknown_action",
        "the actions are book-spot, occupy-spot and release-spot",
    )
    .into_response()
}

/// List a user's reservations: your own, or anybody's for an administrator.
#[utoipa::path(get, path = "/users/{id}/reservations", tag = "bookings", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user"), PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = Reservations),
    (status = 403, description = "Somebody else's"),
    (status = 404, description = "There is no such user"),
))]
pub(crate) async fn list_reservations_of_user(
    State(app): State<App>,
    who: CurrentUser,
    Path(id): Path<String>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    let id = id.parse().map_err(|_| Error::invalid("id", "must be a whole number"))?;
    who.must_be(id)?;
    let recipe = Recipe {
        key: format!("user_reservations:{id}"),
        groups: vec![Group::Catalog, Group::User(id)],
        ttl: app.config.cache.reservations,
    };
    cached::list(&app, &headers, &paging, recipe, move |app, page| async move {
        let user = accounts::by_id(&app, id).await?.username;
        let list = bookings::of_user(&app, id, &page).await?;
        let next = list.next(|row| row.id);
        let reservations = list.items.into_iter().map(ReservationView::from).collect();
        cached::part(next, &Reservations { msg: "reservations", user, reservations })
    })
    .await
}
