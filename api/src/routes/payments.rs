//! Bills of completed stays: paying, verifying, waiving and refunding them.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use shared::{
    app::App,
    parking::{
        bookings::{self, Reservation},
        rules::payment::Payment,
    },
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::{Admin, CurrentUser, Staff},
        body,
        idempotency::{IdempotencyKey, Once, reply},
        params::Path,
        problem::Answer,
    },
    openapi::schemas::text,
    routes::reservation_views::OneReservation,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(pay_reservation))
        .routes(routes!(verify_payment))
        .routes(routes!(waive_bill))
        .routes(routes!(refund_payment))
}

/// How a stay was paid: a transaction, a method, or both.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PayReservation {
    /// Pays for one stay only.
    #[schema(max_length = 50, pattern = "^[^\\x00]*$")]
    transaction_id: Option<String>,
    /// `qr`, `upi`, `card`, `cash` or another name.
    #[schema(max_length = 20, pattern = "^[^\\x00]*$")]
    payment_method: Option<String>,
}

/// Why nobody has to pay.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct WaiveBill {
    #[schema(schema_with = text::<{ bookings::MAX_REASON }>)]
    reason: String,
}

/// Why the money goes back.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RefundPayment {
    #[schema(schema_with = text::<{ bookings::MAX_REASON }>)]
    reason: String,
}

/// Pay the bill of a completed stay.
///
/// Repeating the same payment changes nothing.
///
/// What a driver enters is declared until it is verified. What an administrator enters, or an attendant at one of their lots,
/// is verified.
#[utoipa::path(post, path = "/reservations/{id}/payment", tag = "bookings", request_body = PayReservation,
    params(("id" = i64, Path, description = "Reservation id"), IdempotencyKey), responses(
    (status = 200, description = "The stay is paid", body = OneReservation),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "The stay has not ended, is paid otherwise or waived, or the transaction has paid for another one"),
))]
pub(crate) async fn pay_reservation(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
    once: Once<body::Json<PayReservation>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let paid = move |reservation: &Reservation| {
        reply(StatusCode::OK, &OneReservation::new("stay paid", reservation, now))
    };
    let pay = |body::Json(body): body::Json<PayReservation>, keep| {
        let payment = Payment { transaction_id: body.transaction_id, method: body.payment_method };
        bookings::pay(&app, &user, id, payment, keep)
    };
    once.answer(&app, user.user_id, paid, pay).await
}

/// Verify a payment that a driver has declared.
///
/// Repeating the request changes nothing. Nobody but an administrator verifies a payment of their own.
#[utoipa::path(post, path = "/reservations/{id}/payment/verify", tag = "bookings",
    params(("id" = i64, Path, description = "Reservation id")), responses(
    (status = 200, description = "The payment is verified", body = OneReservation),
    (status = 404, description = "No such reservation"),
    (status = 409, description = "The stay is not paid"),
))]
pub(crate) async fn verify_payment(
    State(app): State<App>,
    Staff(staff): Staff,
    Path(id): Path<i64>,
) -> Answer<Json<OneReservation>> {
    let reservation = bookings::verify_payment(&app, &staff, id).await?;
    Ok(Json(OneReservation::new("payment verified", &reservation, app.clock.now())))
}

/// Waive the bill of a completed stay.
///
/// Repeating the request changes nothing.
#[utoipa::path(post, path = "/reservations/{id}/waive", tag = "bookings", request_body = WaiveBill,
    params(("id" = i64, Path, description = "Reservation id"), IdempotencyKey), responses(
    (status = 200, description = "Nothing has to be paid", body = OneReservation),
    (status = 404, description = "No such reservation"),
    (status = 409, description = "The stay has not ended, or is paid"),
))]
pub(crate) async fn waive_bill(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    once: Once<body::Json<WaiveBill>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let waived = move |reservation: &Reservation| {
        reply(StatusCode::OK, &OneReservation::new("bill waived", reservation, now))
    };
    let waive = async |body::Json(body): body::Json<WaiveBill>, keep| {
        bookings::waive(&app, &admin, id, &body.reason, keep).await
    };
    once.answer(&app, admin.user_id, waived, waive).await
}

/// Record that the payment of a stay was refunded in full.
///
/// The payment stays in the revenue of its day, and the refund reduces the revenue of today.
#[utoipa::path(post, path = "/reservations/{id}/refund", tag = "bookings", request_body = RefundPayment,
    params(("id" = i64, Path, description = "Reservation id"), IdempotencyKey), responses(
    (status = 200, description = "The payment is refunded", body = OneReservation),
    (status = 404, description = "No such reservation"),
    (status = 409, description = "The stay is not paid, cost nothing, or is refunded already"),
))]
pub(crate) async fn refund_payment(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    once: Once<body::Json<RefundPayment>>,
) -> Answer<Response> {
    let now = app.clock.now();
    let refunded = move |reservation: &Reservation| {
        reply(StatusCode::OK, &OneReservation::new("payment refunded", reservation, now))
    };
    let refund = async |body::Json(body): body::Json<RefundPayment>, keep| {
        bookings::refund(&app, &admin, id, &body.reason, keep).await
    };
    once.answer(&app, admin.user_id, refunded, refund).await
}
