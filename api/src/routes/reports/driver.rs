//! The report and the booking history of a driver.

use axum::{extract::State, http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    app::App,
    base::{money::Money, page::TimeCursor, time::wire},
    parking::{
        bookings::stays::{self, Stay},
        reports::{
            insights::{self, WEEKDAYS, hour_label},
            user,
        },
        rules::{billing, state},
    },
    platform::cache::{Group, Recipe},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::{ratio, rounded},
        auth::CurrentUser,
        cached,
        etag::IfNoneMatch,
        paging::{PageQuery, Paging},
        problem::Answer,
    },
    routes::reservation_views::{ReservationDetails, next_change},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_user_report)).routes(routes!(list_booking_history))
}

/// Data with the status that the old client checks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuccessData<T> {
    /// Always `success`.
    #[schema(example = "success")]
    status: &'static str,
    msg: &'static str,
    data: T,
}

impl<T> SuccessData<T> {
    const fn new(msg: &'static str, data: T) -> Self {
        Self { status: "success", msg, data }
    }
}

/// The figures of a driver. The arrays are empty before the first reservation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserReport {
    stats: Stats,
    /// By month of payment: twelve months, oldest first.
    monthly_spending: Vec<MonthlySpending>,
    /// By month of arrival, the same months.
    booking_frequency: Vec<MonthlyBookings>,
    /// The five most used lots.
    favorite_locations: Vec<FavoriteLocation>,
    /// From Monday to Sunday.
    daily_usage: Vec<DailyUsage>,
    /// From 6 AM to 11 PM; arrivals at night are left out.
    hourly_usage: Vec<HourlyUsage>,
    duration_analysis: Vec<DurationCount>,
    /// The figures in short sentences.
    insights: Vec<String>,
}

/// The totals of a driver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    /// The bills of ended parking sessions, paid or not.
    #[schema(value_type = f64)]
    total_spent: Money,
    /// The unpaid part of it.
    #[schema(value_type = f64)]
    outstanding: Money,
    total_bookings: i64,
    active_bookings: i64,
    /// Of parking sessions that have ended, with one decimal place.
    total_hours: f64,
    avg_hours_per_booking: f64,
    /// `N/A` before the first reservation.
    favorite_location: String,
    favorite_location_count: i64,
}

/// The payments of a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlySpending {
    /// `Jan`
    #[schema(example = "Nov")]
    month: String,
    #[schema(value_type = f64)]
    amount: Money,
}

/// The arrivals of a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlyBookings {
    /// `Jan`
    #[schema(example = "Nov")]
    month: String,
    bookings: i64,
}

/// How often a lot was used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FavoriteLocation {
    name: String,
    count: i64,
}

/// The arrivals of a weekday.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyUsage {
    /// `Monday`
    day: &'static str,
    sessions: i64,
}

/// The arrivals of an hour of the day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HourlyUsage {
    /// `6 AM`
    hour: String,
    sessions: i64,
}

/// How many parking sessions were this long.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DurationCount {
    /// `1-2 hours`: from one hour to less than two.
    duration: &'static str,
    count: i64,
}

const DURATIONS: [&str; 6] = ["< 1 hour", "1-2 hours", "2-4 hours", "4-6 hours", "6-8 hours", "> 8 hours"];

impl From<user::Report> for UserReport {
    fn from(report: user::Report) -> Self {
        let insights = insights::insights(&report);
        let hours = ratio(report.parked_micros, 3_600_000_000);
        let (name, count) = report.favourites.first().cloned().unwrap_or_else(|| ("N/A".into(), 0));
        let stats = Stats {
            total_spent: report.spent,
            outstanding: report.outstanding,
            total_bookings: report.bookings,
            active_bookings: report.active,
            total_hours: rounded(hours, 1),
            avg_hours_per_booking: rounded(hours * ratio(1, report.bookings), 1),
            favorite_location: name,
            favorite_location_count: count,
        };
        let some = if report.bookings > 0 { usize::MAX } else { 0 };
        let months = report.months.iter().take(some).map(|month| (month.month.short_month(), month));
        let daily = WEEKDAYS.into_iter().zip(report.weekdays).take(some);
        let hourly = (6..24).map(|hour| (hour_label(hour), report.hours[hour])).take(some);
        let durations = DURATIONS.into_iter().zip(report.durations).take(some);
        Self {
            stats,
            monthly_spending: (months.clone())
                .map(|(month, figures)| MonthlySpending { month, amount: figures.spent })
                .collect(),
            booking_frequency: months
                .map(|(month, figures)| MonthlyBookings { month, bookings: figures.bookings })
                .collect(),
            favorite_locations: (report.favourites.into_iter())
                .map(|(name, count)| FavoriteLocation { name, count })
                .collect(),
            daily_usage: daily.map(|(day, sessions)| DailyUsage { day, sessions }).collect(),
            hourly_usage: hourly.map(|(hour, sessions)| HourlyUsage { hour, sessions }).collect(),
            duration_analysis: durations.map(|(duration, count)| DurationCount { duration, count }).collect(),
            insights,
        }
    }
}

/// Read your figures.
#[utoipa::path(get, path = "/user-reports", tag = "reports", params(IfNoneMatch), responses(
    (status = 200, description = "The current figures", body = SuccessData<UserReport>),
))]
pub(crate) async fn read_user_report(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    headers: HeaderMap,
) -> Answer<Response> {
    let today = app.clock.now().with_timezone(&app.config.zone).date_naive();
    let recipe = recipe(&app, "user_report", &format!("{}:{today}", user.user_id), user.user_id);
    cached::answer(&app, &headers, recipe, move |app| async move {
        let report = user::report(&app, user.user_id).await?;
        cached::entry(&SuccessData::new("your report", UserReport::from(report)))
    })
    .await
}

/// Answers about a user's reservations depend on the user, the reservations, and the names of lots.
fn recipe(app: &App, kind: &str, which: &str, user_id: i64) -> Recipe {
    let ttl = app.config.cache.reports;
    Recipe { key: format!("{kind}:{which}"), groups: vec![Group::Catalog, Group::User(user_id)], ttl }
}

/// A reservation in the booking history of a driver.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PastBooking {
    #[serde(flatten)]
    details: ReservationDetails,
    /// Use `arrived_at` and `starts_at`.
    #[serde(with = "wire")]
    #[schema(deprecated)]
    start_time: DateTime<Utc>,
    /// Use `left_at` and `ends_at`.
    #[serde(with = "wire::option")]
    #[schema(deprecated)]
    end_time: Option<DateTime<Utc>>,
    /// With two decimal places; of a reserved window, its length. Use `actual_duration_hours`.
    #[schema(deprecated)]
    duration_hours: Option<f64>,
    /// Use `cost`, `quote` and `cost_so_far`.
    #[schema(value_type = f64, deprecated)]
    total_amount: Money,
    /// `Completed`, `Active` or `Reserved`. Use `state`.
    #[schema(example = "Completed", deprecated)]
    status: &'static str,
    /// The current licence plate of the driver.
    vehicle_number: Option<String>,
    /// Use `lot` and `spot_number`.
    #[schema(deprecated)]
    parking_space: ParkingSpace,
}

/// The spot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkingSpace {
    id: i64,
    /// Lot and spot: `Main Street - Spot 7`.
    #[schema(example = "Main Street - Spot 12")]
    name: String,
}

impl PastBooking {
    fn new(stay: Stay, now: DateTime<Utc>) -> Self {
        let reservation = stay.reservation;
        let (start, end) = (reservation.parking_time(), reservation.leaving_time());
        Self {
            details: ReservationDetails::new(&reservation, now),
            start_time: start,
            end_time: end,
            duration_hours: end.map(|end| billing::hours(start, end)),
            total_amount: reservation.cost,
            status: status(reservation.state),
            vehicle_number: reservation.plate.clone(),
            parking_space: ParkingSpace {
                id: reservation.spot_id,
                name: format!("{} - Spot {}", reservation.lot_name, reservation.spot_number),
            },
        }
    }
}

/// The status that the old client shows.
pub(super) const fn status(state: state::State) -> &'static str {
    match state {
        state::State::Reserved => "Reserved",
        state::State::Active => "Active",
        state::State::Completed => "Completed",
        state::State::Cancelled => "Cancelled",
        state::State::Expired => "Expired",
    }
}

/// List your reservations, except cancelled and expired ones.
#[utoipa::path(get, path = "/user-booking-history", tag = "reports", params(PageQuery<TimeCursor>, IfNoneMatch), responses(
    (status = 200, description = "By start, latest first", body = SuccessData<Vec<PastBooking>>),
))]
pub(crate) async fn list_booking_history(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    headers: HeaderMap,
    paging: Paging<TimeCursor>,
) -> Answer<Response> {
    let recipe = recipe(&app, "booking_history", &user.user_id.to_string(), user.user_id);
    cached::list(&app, &headers, &paging, recipe, move |app, page| async move {
        let stays = stays::history(&app, user.user_id, &page).await?;
        let next = stays.next(Stay::moment);
        let now = app.clock.now();
        let changes_at = next_change(stays.items.iter().map(|stay| &stay.reservation), now);
        let data: Vec<_> = stays.items.into_iter().map(|stay| PastBooking::new(stay, now)).collect();
        let entry = cached::list_entry(next, &SuccessData::new("your reservations", data))?;
        Ok(cached::until(changes_at, entry))
    })
    .await
}
