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
    parking::reports::{
        admin,
        stays::{self, Stay},
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
    reservation_id: i64,
    user_name: String,
    user_email: String,
    vehicle_number: String,
    parking_lot: String,
    spot_number: i64,
    #[serde(with = "wire")]
    parking_time: DateTime<Utc>,
    /// Null while the parking session is running.
    #[serde(with = "wire::option")]
    leaving_time: Option<DateTime<Utc>>,
    #[schema(value_type = f64)]
    parking_cost: Money,
    transaction_id: String,
    payment_method: String,
    /// `Completed`, `Active` or `Reserved`.
    #[schema(example = "Completed")]
    status: &'static str,
}

impl From<Stay> for ParkingDetail {
    fn from(stay: Stay) -> Self {
        let or_missing = |text: Option<String>| text.unwrap_or_else(|| "N/A".into());
        Self {
            reservation_id: stay.id,
            user_name: stay.user_name,
            user_email: stay.user_email,
            vehicle_number: or_missing(stay.vehicle_number),
            parking_lot: stay.lot_name,
            spot_number: stay.spot_id,
            parking_time: stay.parking_time,
            leaving_time: stay.leaving_time,
            parking_cost: stay.cost,
            transaction_id: or_missing(stay.transaction_id),
            payment_method: or_missing(stay.payment_method),
            status: status(stay.state),
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
    let next = stays.next(|stay| stay.id);
    let data = stays.items.into_iter().map(ParkingDetail::from).collect();
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
