//! What administrators download as JSON: all reservations, and the current month.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    app::App,
    base::{money::Money, time::wire},
    parking::{
        bookings::stays::{self, Stay},
        reports::admin,
    },
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::driver::status;
use crate::{
    http::{
        answers::Data,
        auth::Admin,
        paging::{Linked, PageQuery, Paging},
        problem::{Answer, Problem},
    },
    routes::reservation_views::ReservationDetails,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(export_parking_details))
        .routes(routes!(export_monthly_report))
        .route("/export/{kind}", axum::routing::get(unknown_export))
}

/// A reservation with its driver and lot. Missing text is `N/A`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkingDetail {
    /// Use `id`.
    #[schema(deprecated)]
    reservation_id: i64,
    user_name: String,
    user_email: String,
    vehicle_number: String,
    /// Use `lot`.
    #[schema(deprecated)]
    parking_lot: String,
    #[serde(flatten)]
    details: ReservationDetails,
    /// Use `arrived_at` and `starts_at`.
    #[serde(with = "wire")]
    #[schema(deprecated)]
    parking_time: DateTime<Utc>,
    /// Null while the parking session is running. Use `left_at` and `ends_at`.
    #[serde(with = "wire::option")]
    #[schema(deprecated)]
    leaving_time: Option<DateTime<Utc>>,
    /// Use `cost`, `quote` and `cost_so_far`.
    #[schema(value_type = f64, deprecated)]
    parking_cost: Money,
    /// Use `payment`.
    #[schema(deprecated)]
    transaction_id: String,
    /// Use `payment`.
    #[schema(deprecated)]
    payment_method: String,
    /// `Completed`, `Active` or `Reserved`. Use `state`.
    #[schema(example = "Completed", deprecated)]
    status: &'static str,
}

impl ParkingDetail {
    fn new(stay: Stay, now: DateTime<Utc>) -> Self {
        let or_missing = |text: Option<String>| text.unwrap_or_else(|| "N/A".into());
        let details = ReservationDetails::new(&stay.reservation, now);
        let reservation = stay.reservation;
        Self {
            reservation_id: reservation.id,
            user_name: stay.user_name,
            user_email: stay.user_email,
            vehicle_number: or_missing(reservation.plate.clone()),
            details,
            parking_time: reservation.parking_time(),
            leaving_time: reservation.leaving_time(),
            parking_lot: reservation.lot_name,
            parking_cost: reservation.cost,
            transaction_id: or_missing(reservation.payment.transaction_id),
            payment_method: or_missing(reservation.payment.method),
            status: status(reservation.state),
        }
    }
}

/// Reservations with drivers and lots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkingDetails {
    msg: &'static str,
    data: Vec<ParkingDetail>,
    /// The number of reservations on all pages.
    total_records: i64,
}

/// The current month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlyReport {
    /// `November 2026`
    month: String,
    /// Reservations that started this month.
    total_reservations: i64,
    /// Payments of this month.
    #[schema(value_type = f64)]
    total_revenue: Money,
    #[serde(with = "wire")]
    report_generated_at: DateTime<Utc>,
}

/// List all reservations with drivers and lots.
///
/// Deleted users and lots are included, cancelled and expired reservations are not.
#[utoipa::path(get, path = "/export/parking-details", tag = "reports", params(PageQuery), responses(
    (status = 200, description = "By id", body = ParkingDetails),
))]
pub(crate) async fn export_parking_details(
    State(app): State<App>,
    _: Admin,
    paging: Paging,
) -> Answer<Linked<ParkingDetails>> {
    let (stays, total_records) =
        tokio::try_join!(stays::of_everybody(&app, &paging.page), admin::count(&app))?;
    let next = stays.next(|stay| stay.reservation.id);
    let now = app.clock.now();
    let data = stays.items.into_iter().map(|stay| ParkingDetail::new(stay, now)).collect();
    Ok(paging.answer(next, ParkingDetails { msg: "parking details", data, total_records }))
}

/// Read the reservations and the revenue of the current month.
#[utoipa::path(get, path = "/export/monthly-report", tag = "reports", responses(
    (status = 200, description = "The month until now", body = Data<MonthlyReport>),
))]
pub(crate) async fn export_monthly_report(
    State(app): State<App>,
    _: Admin,
) -> Answer<Json<Data<MonthlyReport>>> {
    let figures = admin::this_month(&app).await?;
    let data = MonthlyReport {
        month: figures.month.month_and_year(),
        total_reservations: figures.reservations,
        total_revenue: figures.revenue,
        report_generated_at: app.clock.now(),
    };
    Ok(Json(Data { msg: "monthly report", data }))
}

async fn unknown_export(_: Admin) -> Response {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unknown_export",
        "the export must be parking-details or monthly-report",
    )
    .into_response()
}
