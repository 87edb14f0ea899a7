//! Reservations for a window: make, look up, cancel; and everybody's, for administrators.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    Error, Result,
    app::App,
    base::{
        error::FieldError,
        money::Money,
        time::{self, wire},
    },
    parking::bookings::{self, NewReservation, Reservation},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::{Admin, CurrentUser},
        extract::{self, Path, optional_whole_or_text, whole},
        idempotency::{IdempotencyKey, Once, reply},
        paging::{Linked, PageQuery, Paging},
        problem::Answer,
    },
    routes::{
        accounts::Message,
        bookings::About,
        schemas::{instant, optional_id},
    },
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_reservations, reserve))
        .routes(routes!(read_reservation, cancel_reservation))
}

/// A spot and when it is wanted. Times without an offset are local ones of the application's zone.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Reserve {
    #[serde(deserialize_with = "whole")]
    spot_id: i64,
    /// The begin: not in the past, and within the next 365 days.
    #[schema(schema_with = instant)]
    parking_time: String,
    /// The end: after the begin, by as much as the installation allows.
    #[schema(schema_with = instant)]
    leaving_time: String,
    /// For whom: for yourself without. Only administrators may name others.
    #[serde(default, deserialize_with = "optional_whole_or_text")]
    #[schema(schema_with = optional_id)]
    user_id: Option<i64>,
}

impl Reserve {
    fn checked(self, app: &App) -> Result<NewReservation> {
        let read = |pointer: &str, text: &str| {
            time::parse(text, app.config.zone)
                .map_err(|message| FieldError { pointer: pointer.into(), message })
        };
        let begin = read("/parking_time", &self.parking_time);
        let end = read("/leaving_time", &self.leaving_time);
        match (begin, end) {
            (Ok(begin), Ok(end)) => {
                Ok(NewReservation { spot_id: self.spot_id, begin, end, user_id: self.user_id })
            }
            (begin, end) => Err(Error::Invalid([begin.err(), end.err()].into_iter().flatten().collect())),
        }
    }
}

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resv {
    id: i64,
    spot_id: i64,
    user_id: i64,
    /// Arrival, or the begin of the window.
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    /// Departure, or the end of a window that has not begun.
    #[serde(with = "wire::option")]
    leaving_time: Option<DateTime<Utc>>,
    /// The bill; before it, the quote for a window.
    #[schema(value_type = f64)]
    parking_cost: Money,
    /// `reserved`, `active`, `completed`, `cancelled` or `expired`.
    status: &'static str,
}

impl Resv {
    fn of(reservation: &Reservation) -> Self {
        Self {
            id: reservation.id,
            spot_id: reservation.spot_id,
            user_id: reservation.user_id,
            parking_time: reservation.parking_time,
            leaving_time: reservation.leaving_time,
            parking_cost: reservation.cost,
            status: reservation.state.as_str(),
        }
    }
}

/// Everybody's reservations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllReservations {
    msg: &'static str,
    reservations: Vec<Resv>,
}

/// Reserve a spot for a window.
#[utoipa::path(post, path = "/reservations", tag = "bookings", security(("bearer" = [])), request_body = Reserve, params(IdempotencyKey), responses(
    (status = 201, description = "The spot is kept for you", body = About<Resv>),
    (status = 403, description = "Only administrators may reserve for others"),
    (status = 404, description = "There is no such spot or user"),
    (status = 409, description = "The spot is taken during this window, or about to be taken out of service"),
))]
pub(crate) async fn reserve(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    once: Once<extract::Json<Reserve>>,
) -> Answer<Response> {
    let reserved = |reservation: &Reservation| {
        reply(StatusCode::CREATED, &About { msg: "spot reserved", reservation: Resv::of(reservation) })
    };
    let reserve = async |extract::Json(body): extract::Json<Reserve>, keep| {
        bookings::reserve(&app, &who, body.checked(&app)?, keep).await
    };
    once.answer(&app, who.user_id, reserved, reserve).await
}

/// List everybody's reservations.
#[utoipa::path(get, path = "/reservations", tag = "bookings", security(("bearer" = ["admin"])), params(PageQuery), responses(
    (status = 200, description = "By id", body = AllReservations),
))]
pub(crate) async fn list_reservations(
    State(app): State<App>,
    _: Admin,
    paging: Paging,
) -> Answer<Linked<AllReservations>> {
    let list = bookings::list(&app, &paging.page).await?;
    let reservations = list.items.iter().map(Resv::of).collect();
    let next = list.next(|row| row.id);
    Ok(paging.answer(next, AllReservations { msg: "reservations", reservations }))
}

/// Look a reservation up.
#[utoipa::path(get, path = "/reservations/{id}", tag = "bookings", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The reservation")), responses(
    (status = 200, description = "The reservation", body = About<Resv>),
    (status = 404, description = "You have none with this id"),
))]
pub(crate) async fn read_reservation(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<i64>,
) -> Answer<Json<About<Resv>>> {
    let reservation = Resv::of(&bookings::find(&app, &who, id).await?);
    Ok(Json(About { msg: "reservation", reservation }))
}

/// Cancel a reservation that has not begun. Repeating it changes nothing.
#[utoipa::path(delete, path = "/reservations/{id}", tag = "bookings", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The reservation")), responses(
    (status = 200, description = "It is cancelled and costs nothing", body = Message),
    (status = 404, description = "You have none with this id"),
    (status = 409, description = "Its session has begun, or it has ended otherwise"),
))]
pub(crate) async fn cancel_reservation(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    bookings::cancel(&app, &who, id).await?;
    Ok(Json(Message { msg: "reservation cancelled" }))
}
