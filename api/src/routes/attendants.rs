//! Working at the barrier: who is on which spot, and cars that arrive and leave by their plate. And the lots of attendants.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    base::time::wire,
    parking::{
        accounts,
        bookings::{self, Reservation},
        lots::{
            self, Moment, When,
            spots::{self, Spot},
        },
        rules::payment::Payment,
    },
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::{Admin, Staff},
        body,
        fields::{integer, optional_text_or_integer},
        idempotency::{IdempotencyKey, Once, located, reply},
        paging::{Linked, PageQuery, Paging},
        params::Path,
        problem::Answer,
    },
    routes::{
        lots::Lots,
        reservation_views::{OneReservation, ReservationView},
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_own_lots))
        .routes(routes!(list_spots_of_lot))
        .routes(routes!(list_unpaid_stays))
        .routes(routes!(arrive))
        .routes(routes!(depart))
        .routes(routes!(list_assigned_lots, assign_lots))
}

/// A spot and the car on it, or the one for which it is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpotOfLot {
    id: i64,
    /// The number within the lot, for people.
    spot_number: i64,
    /// `occupied`, `reserved` or `available`.
    #[schema(pattern = "^(occupied|reserved|available)$", example = "occupied")]
    status: &'static str,
    reservation_id: Option<i64>,
    plate: Option<String>,
    /// The arrival, or the start of the next reservation.
    #[serde(with = "wire::option")]
    since: Option<DateTime<Utc>>,
    /// The end of the reserved window; null for a car that came without a reservation.
    #[serde(with = "wire::option")]
    until: Option<DateTime<Utc>>,
}

impl From<Spot> for SpotOfLot {
    fn from(spot: Spot) -> Self {
        let holder = spot.holder.as_ref();
        Self {
            id: spot.id,
            spot_number: spot.number,
            status: spot.status.as_str(),
            reservation_id: holder.map(|holder| holder.reservation_id),
            since: holder.map(|holder| holder.from),
            until: holder.and_then(|holder| holder.until),
            plate: spot.holder.and_then(|holder| holder.plate),
        }
    }
}

/// The spots of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpotsOfLot {
    msg: &'static str,
    spots: Vec<SpotOfLot>,
}

/// Stays whose bill is not paid.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnpaidStays {
    msg: &'static str,
    reservations: Vec<ReservationView>,
}

/// A car that arrives.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Arrival {
    #[serde(deserialize_with = "integer")]
    lot_id: i64,
    /// The licence plate, in any spelling.
    #[schema(min_length = 1, max_length = 20, pattern = r"^[^\x00]*$")]
    plate: String,
}

/// A car that leaves, and what the attendant was paid.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Departure {
    #[serde(deserialize_with = "integer")]
    lot_id: i64,
    /// The licence plate, in any spelling.
    #[schema(min_length = 1, max_length = 20, pattern = r"^[^\x00]*$")]
    plate: String,
    #[serde(default, deserialize_with = "optional_text_or_integer")]
    #[schema(max_length = 50, pattern = "^[^\\x00]*$")]
    transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash` or another name.
    #[schema(max_length = 20, pattern = "^[^\\x00]*$")]
    payment_method: Option<String>,
}

/// A bill, also as text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    msg: &'static str,
    reservation: ReservationView,
    /// The receipt, or the bill if it is unpaid, a line for each figure, for a printer.
    #[schema(example = "Receipt 17\nMain Street")]
    receipt: String,
}

/// The lots of an attendant.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct AssignLots {
    /// All of them: others are taken away.
    #[schema(max_items = 1000)]
    lot_ids: Vec<i64>,
}

/// The lots that are assigned to a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssignedLots {
    msg: &'static str,
    lot_ids: Vec<i64>,
}

/// List the lots at which you work: those assigned to you, or all for an administrator.
#[utoipa::path(get, path = "/attendant/lots", tag = "attendants", params(PageQuery), responses(
    (status = 200, description = "By id", body = Lots),
))]
pub(crate) async fn list_own_lots(
    State(app): State<App>,
    Staff(staff): Staff,
    paging: Paging,
) -> Answer<Linked<Lots>> {
    let list = if staff.is_admin {
        lots::list(&app, &paging.page, When::Now(Moment::of(&app))).await?
    } else {
        lots::assigned_to(&app, staff.user_id, &paging.page).await?
    };
    let next = list.next(|lot| lot.id);
    Ok(paging.answer(next, Lots::new("parking lots", list.items)))
}

/// List the spots of a lot with the cars on them, and the reservations for which they are kept.
#[utoipa::path(get, path = "/attendant/lots/{id}/spots", tag = "attendants",
    params(("id" = i64, Path, description = "Lot id"), PageQuery), responses(
    (status = 200, description = "By number", body = SpotsOfLot),
    (status = 403, description = "You are not assigned to this lot"),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn list_spots_of_lot(
    State(app): State<App>,
    Staff(staff): Staff,
    Path(id): Path<i64>,
    paging: Paging,
) -> Answer<Linked<SpotsOfLot>> {
    bookings::check_on_duty(app.db.read(), &staff, id).await?;
    let list = spots::of_lot(&app, id, &paging.page).await?;
    let next = list.next(|spot| spot.number);
    let spots = list.items.into_iter().map(SpotOfLot::from).collect();
    Ok(paging.answer(next, SpotsOfLot { msg: "spots", spots }))
}

/// List the stays at a lot whose bill is not paid.
#[utoipa::path(get, path = "/attendant/lots/{id}/unpaid", tag = "attendants",
    params(("id" = i64, Path, description = "Lot id"), PageQuery), responses(
    (status = 200, description = "By id", body = UnpaidStays),
    (status = 403, description = "You are not assigned to this lot"),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn list_unpaid_stays(
    State(app): State<App>,
    Staff(staff): Staff,
    Path(id): Path<i64>,
    paging: Paging,
) -> Answer<Linked<UnpaidStays>> {
    bookings::check_on_duty(app.db.read(), &staff, id).await?;
    let (now, list) = (app.clock.now(), bookings::unpaid_at(&app, id, &paging.page).await?);
    let next = list.next(|stay| stay.id);
    let reservations = list.items.iter().map(|stay| ReservationView::new(stay, now)).collect();
    Ok(paging.answer(next, UnpaidStays { msg: "unpaid stays", reservations }))
}

/// Let a car in: its parking session starts.
///
/// If the plate belongs to a driver, the session is theirs, and a reservation that they have at this lot begins, as when they
/// arrive by themselves. If not, the session belongs to the lot's account for such cars.
#[utoipa::path(post, path = "/attendant/arrivals", tag = "attendants", request_body = Arrival, params(IdempotencyKey), responses(
    (status = 201, description = "The parking session has started", body = OneReservation, headers(("Location"))),
    (status = 403, description = "You are not assigned to this lot"),
    (status = 404, description = "No such lot"),
    (status = 409, description = "The lot is full, or the car or its driver is parked already"),
))]
pub(crate) async fn arrive(
    State(app): State<App>,
    Staff(staff): Staff,
    once: Once<body::Json<Arrival>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let arrived = move |reservation: &Reservation| {
        let body = OneReservation::new("car arrived", reservation, now);
        located(format!("/api/reservations/{}", reservation.id), &body)
    };
    let arrive = async |body::Json(body): body::Json<Arrival>, keep| {
        bookings::arrive_by_plate(&app, &staff, body.lot_id, &body.plate, keep).await
    };
    once.answer(&app, staff.user_id, arrived, arrive).await
}

/// Let a car out: its parking session ends and is billed.
///
/// A payment that is named here was taken by you, so it is verified. Without one, the bill stays unpaid.
#[utoipa::path(post, path = "/attendant/departures", tag = "attendants", request_body = Departure, params(IdempotencyKey), responses(
    (status = 200, description = "The bill", body = Receipt),
    (status = 403, description = "You are not assigned to this lot"),
    (status = 404, description = "No such lot, or no such car is parked there"),
    (status = 409, description = "The transaction has paid for another stay"),
))]
pub(crate) async fn depart(
    State(app): State<App>,
    Staff(staff): Staff,
    once: Once<body::Json<Departure>>,
) -> Answer<Response> {
    let (now, zone) = (app.clock.now(), app.config.zone);
    let departed = move |reservation: &Reservation| {
        let receipt = bookings::receipt_text(reservation, zone);
        let reservation = ReservationView::new(reservation, now);
        reply(StatusCode::OK, &Receipt { msg: "car left", reservation, receipt })
    };
    let depart = async |body::Json(body): body::Json<Departure>, keep| {
        let payment = Payment { transaction_id: body.transaction_id, method: body.payment_method };
        bookings::depart_by_plate(&app, &staff, body.lot_id, &body.plate, payment, keep).await
    };
    once.answer(&app, staff.user_id, departed, depart).await
}

/// List the lots that are assigned to a user.
#[utoipa::path(get, path = "/users/{id}/lots", tag = "users",
    params(("id" = i64, Path, description = "User id")), responses(
    (status = 200, description = "By id; none for anybody but an attendant", body = AssignedLots),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn list_assigned_lots(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
) -> Answer<Json<AssignedLots>> {
    Ok(Json(AssignedLots { msg: "assigned lots", lot_ids: accounts::assigned_lots(&app, id).await? }))
}

/// Assign lots to an attendant, and take all others away.
///
/// It applies to the next request of the attendant.
#[utoipa::path(put, path = "/users/{id}/lots", tag = "users", request_body = AssignLots,
    params(("id" = i64, Path, description = "User id")), responses(
    (status = 200, description = "The assigned lots, by id", body = AssignedLots),
    (status = 404, description = "No such user"),
    (status = 409, description = "The user is not an attendant"),
))]
pub(crate) async fn assign_lots(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    body::Json(body): body::Json<AssignLots>,
) -> Answer<Json<AssignedLots>> {
    let lot_ids = accounts::assign_lots(&app, &(&admin).into(), id, body.lot_ids).await?;
    Ok(Json(AssignedLots { msg: "lots assigned", lot_ids }))
}
