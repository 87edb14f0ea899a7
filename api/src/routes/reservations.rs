//! Reservations of a spot for a time window: create, read, list, cancel.

use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    app::App,
    base::{error::FieldError, time},
    parking::{
        bookings::{self, NewReservation, NewWindow, Place, Reservation},
        rules::{payment::PaymentState, window::Window},
    },
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::Message,
        auth::{Admin, CurrentUser},
        body,
        fields::{optional_integer, optional_integer_or_text},
        idempotency::{IdempotencyKey, Once, located},
        paging::{Linked, PageQuery, Paging},
        params::{Path, Query},
        problem::Answer,
    },
    openapi::schemas::{instant, optional_id, optional_instant},
    routes::reservation_views::{OneReservation, ReservationView},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_reservations, reserve)).routes(routes!(
        read_reservation,
        change_reservation,
        cancel_reservation
    ))
}

/// A lot or a spot, and a time window. Times without an offset are in the time zone of the installation.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Reserve {
    /// The lot, where the server chooses the spot that the window fits most tightly. Give either this or `spot_id`.
    #[serde(default, deserialize_with = "optional_integer")]
    #[schema(schema_with = optional_id)]
    lot_id: Option<i64>,
    /// The spot.
    #[serde(default, deserialize_with = "optional_integer")]
    #[schema(schema_with = optional_id)]
    spot_id: Option<i64>,
    /// The start: not in the past, and as far ahead as the installation allows.
    #[schema(schema_with = instant)]
    parking_time: String,
    /// The end: after the start, and within the longest window that the installation allows.
    #[schema(schema_with = instant)]
    leaving_time: String,
    /// The user; by default yourself. Only administrators may name others.
    #[serde(default, deserialize_with = "optional_integer_or_text")]
    #[schema(schema_with = optional_id)]
    user_id: Option<i64>,
    /// Which of the user's vehicles will park; by default the first one.
    #[serde(default, deserialize_with = "optional_integer_or_text")]
    #[schema(schema_with = optional_id)]
    vehicle_id: Option<i64>,
}

impl Reserve {
    fn checked(self, app: &App) -> Result<NewReservation> {
        let read = |pointer: &str, text: &str| {
            time::parse(text, app.config.zone)
                .map_err(|message| FieldError { pointer: pointer.into(), message })
        };
        let begin = read("/parking_time", &self.parking_time);
        let end = read("/leaving_time", &self.leaving_time);
        let place = match (self.lot_id, self.spot_id) {
            (Some(lot), None) => Ok(Place::Lot(lot)),
            (_, Some(spot)) => Ok(Place::Spot(spot)),
            _ => Err(FieldError {
                pointer: "/spot_id".into(),
                message: "is required unless lot_id is given".into(),
            }),
        };
        match (place, begin, end) {
            (Ok(place), Ok(from), Ok(to)) => Ok(NewReservation {
                place,
                window: Window { from, to },
                user_id: self.user_id,
                vehicle_id: self.vehicle_id,
            }),
            (place, begin, end) => {
                Err(Error::Invalid([place.err(), begin.err(), end.err()].into_iter().flatten().collect()))
            }
        }
    }
}

/// All reservations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllReservations {
    msg: &'static str,
    reservations: Vec<ReservationView>,
}

/// Reserve a spot for a time window.
///
/// A driver may have only some reservations at a time and only some days ahead; a refusal names the limit and says when it ends.
#[utoipa::path(post, path = "/reservations", tag = "bookings", request_body = Reserve, params(IdempotencyKey), responses(
    (status = 201, description = "The spot is reserved", body = OneReservation, headers(("Location"))),
    (status = 403, description = "Only administrators may reserve for others"),
    (status = 404, description = "No such lot, spot, user or vehicle"),
    (status = 409, description = "No such spot is free during this window, or a limit for drivers is reached"),
))]
pub(crate) async fn reserve(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<body::Json<Reserve>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let reserved = move |reservation: &Reservation| {
        let body = OneReservation::new("spot reserved", reservation, now);
        located(format!("/api/reservations/{}", reservation.id), &body)
    };
    let reserve = async |body::Json(body): body::Json<Reserve>, keep| {
        bookings::reserve(&app, &user, body.checked(&app)?, keep).await
    };
    once.answer(&app, user.user_id, reserved, reserve).await
}

/// Which reservations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReservationQuery {
    /// Only completed ones whose bill is in this state.
    #[param(pattern = "^(unpaid|paid|waived|refunded)$")]
    payment: Option<String>,
}

/// List all reservations, or those with unpaid bills.
#[utoipa::path(get, path = "/reservations", tag = "bookings", params(ReservationQuery, PageQuery), responses(
    (status = 200, description = "By id", body = AllReservations),
))]
pub(crate) async fn list_reservations(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<ReservationQuery>,
    paging: Paging,
) -> Answer<Linked<AllReservations>> {
    let payment = query.payment.map(|text| text.parse::<PaymentState>()).transpose();
    let payment = payment.map_err(|why| Error::invalid("payment", why))?;
    let list = bookings::list(&app, payment, &paging.page).await?;
    let now = app.clock.now();
    let reservations = list.items.iter().map(|row| ReservationView::new(row, now)).collect();
    let next = list.next(|row| row.id);
    Ok(paging.answer(next, AllReservations { msg: "reservations", reservations }))
}

/// Read one reservation.
#[utoipa::path(get, path = "/reservations/{id}", tag = "bookings",
    params(("id" = i64, Path, description = "Reservation id")), responses(
    (status = 200, description = "The reservation", body = OneReservation),
    (status = 404, description = "You have no such reservation"),
))]
pub(crate) async fn read_reservation(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Answer<Json<OneReservation>> {
    let reservation = bookings::find(&app, &user, id).await?;
    Ok(Json(OneReservation::new("reservation", &reservation, app.clock.now())))
}

/// A new window. A missing end stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ChangeReservation {
    /// The new start.
    #[serde(default)]
    #[schema(schema_with = optional_instant)]
    parking_time: Option<String>,
    /// The new end.
    #[serde(default)]
    #[schema(schema_with = optional_instant)]
    leaving_time: Option<String>,
}

impl ChangeReservation {
    fn checked(self, app: &App) -> Result<NewWindow> {
        let read = |pointer: &str, text: Option<String>| {
            text.map(|text| time::parse(&text, app.config.zone))
                .transpose()
                .map_err(|message| FieldError { pointer: pointer.into(), message })
        };
        match (read("/parking_time", self.parking_time), read("/leaving_time", self.leaving_time)) {
            (Ok(from), Ok(to)) => Ok(NewWindow { from, to }),
            (from, to) => Err(Error::Invalid([from.err(), to.err()].into_iter().flatten().collect())),
        }
    }
}

/// Change the window of a reservation.
///
/// Before you arrive, you can move, shorten or extend it; if its spot is taken then, another one of the lot is given. During
/// the stay you can change its end, as long as nobody else has reserved the spot.
#[utoipa::path(patch, path = "/reservations/{id}", tag = "bookings", request_body = ChangeReservation,
    params(("id" = i64, Path, description = "Reservation id")), responses(
    (status = 200, description = "The changed reservation", body = OneReservation),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "The reservation has ended, no spot is free then, or a limit for drivers is reached"),
))]
pub(crate) async fn change_reservation(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
    body::Json(body): body::Json<ChangeReservation>,
) -> Answer<Json<OneReservation>> {
    let reservation = bookings::reschedule(&app, &user, id, body.checked(&app)?).await?;
    Ok(Json(OneReservation::new("reservation changed", &reservation, app.clock.now())))
}

/// Cancel a reservation that has not started.
///
/// Repeating the request changes nothing.
#[utoipa::path(delete, path = "/reservations/{id}", tag = "bookings",
    params(("id" = i64, Path, description = "Reservation id")), responses(
    (status = 200, description = "The reservation is cancelled, free of charge", body = Message),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "The reservation has started or ended"),
))]
pub(crate) async fn cancel_reservation(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    bookings::cancel(&app, &user, id).await?;
    Ok(Json(Message { msg: "reservation cancelled" }))
}
