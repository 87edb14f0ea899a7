//! The administrators' report.

use axum::{extract::State, http::HeaderMap, response::Response};
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value};
use shared::{
    Error,
    app::App,
    base::money::Money,
    parking::reports::admin::{self, LotFigures},
    platform::{
        cache::{Group, Recipe},
        counters::Event,
    },
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    auth::Admin,
    cached::{self, IfNoneMatch},
    problem::Answer,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read_reports))
}

/// An answer with data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Data<T> {
    pub(crate) msg: &'static str,
    pub(crate) data: T,
}

/// Figures about everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Report {
    /// By id; archived ones as long as they have a history.
    parking_lots: Vec<LotReport>,
    user_stats: UserStats,
    reservation_stats: ReservationStats,
    /// Reservations by the month in which they began: twelve, the oldest first.
    monthly_trends: Vec<MonthlyTrend>,
    /// By the day of payment: thirty, the oldest first.
    daily_revenue: Vec<DailyRevenue>,
    /// By the month of payment: twelve, the oldest first.
    monthly_revenue: Vec<MonthlyRevenue>,
    payment_distribution: Vec<PaymentMethod>,
    overall_occupancy: Occupancy,
}

/// The figures and the counters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportAndCounters {
    #[serde(flatten)]
    #[schema(value_type = Report)]
    report: Map<String, Value>,
    redis_analytics: RedisAnalytics,
}

/// A lot's figures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotReport {
    id: i64,
    location_name: String,
    /// Closed for good: it has no spots any more.
    archived: bool,
    total_spots: i64,
    occupied_spots: i64,
    available_spots: i64,
    /// In per cent.
    occupancy_rate: f64,
    total_reservations: i64,
    #[schema(value_type = f64)]
    total_revenue: Money,
}

impl From<LotFigures> for LotReport {
    fn from(lot: LotFigures) -> Self {
        let occupied = (lot.spots - lot.available).max(0);
        Self {
            id: lot.id,
            location_name: lot.name,
            archived: lot.archived,
            total_spots: lot.spots,
            occupied_spots: occupied,
            available_spots: lot.available,
            occupancy_rate: rounded(100.0 * ratio(occupied, lot.spots), 2),
            total_reservations: lot.reservations,
            total_revenue: lot.revenue,
        }
    }
}

/// People with an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserStats {
    total_users: i64,
    admin_users: i64,
    regular_users: i64,
}

/// Reservations, without cancelled and expired ones.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationStats {
    total_reservations: i64,
    active_reservations: i64,
    completed_reservations: i64,
    #[schema(value_type = f64)]
    total_revenue: Money,
}

/// A month's reservations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlyTrend {
    /// `November 2026`
    month: String,
    reservations: i64,
}

/// A day's payments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyRevenue {
    date: NaiveDate,
    #[schema(value_type = f64)]
    revenue: Money,
}

/// A month's payments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlyRevenue {
    /// `November 2026`
    month: String,
    #[schema(value_type = f64)]
    revenue: Money,
}

/// How often sessions were paid this way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentMethod {
    method: String,
    count: i64,
}

/// All open lots together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Occupancy {
    total_spots: i64,
    occupied_spots: i64,
    available_spots: i64,
}

/// What was counted in Redis, or why that is not known.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RedisAnalytics {
    Counted {
        total_api_calls: i64,
        total_logins: i64,
        total_logouts: i64,
        total_registrations: i64,
        active_users_count: i64,
        users_created: i64,
        users_deleted: i64,
        parking_lots_created: i64,
        parking_lots_deleted: i64,
        reservations_cancelled: i64,
        today_logins: i64,
        today_registrations: i64,
        today_reservations: i64,
    },
    Unknown {
        error: &'static str,
    },
}

impl RedisAnalytics {
    async fn now(app: &App) -> Self {
        Self::counted(app).await.unwrap_or(Self::Unknown { error: "Redis is away" })
    }

    async fn counted(app: &App) -> shared::Result<Self> {
        use Event::{
            Cancellation, Login, Logout, LotCreated, LotDeleted, Registration, Reservation, UserCreated,
            UserDeleted,
        };
        let total = |event| app.counters.names(event).0.to_owned();
        let today = |event| app.counters.names(event).1.unwrap_or_default();
        let events =
            [Login, Logout, Registration, UserCreated, UserDeleted, LotCreated, LotDeleted, Cancellation];
        let names: Vec<String> = std::iter::once("total_api_calls".to_owned())
            .chain(events.map(total))
            .chain([Login, Registration, Reservation].map(today))
            .collect();
        let (counts, active_users_count) = app.counters.read_with_active_users(&names).await?;
        Ok(Self::Counted {
            total_api_calls: counts[0],
            total_logins: counts[1],
            total_logouts: counts[2],
            total_registrations: counts[3],
            users_created: counts[4],
            users_deleted: counts[5],
            parking_lots_created: counts[6],
            parking_lots_deleted: counts[7],
            reservations_cancelled: counts[8],
            today_logins: counts[9],
            today_registrations: counts[10],
            today_reservations: counts[11],
            active_users_count,
        })
    }
}

impl Report {
    fn of(report: admin::Report) -> Self {
        let parking_lots: Vec<_> = report.lots.into_iter().map(LotReport::from).collect();
        let sum = |of: fn(&LotReport) -> i64| parking_lots.iter().map(of).sum();
        let months = report.months.iter().map(|month| (month.month.month_and_year(), month));
        Self {
            user_stats: UserStats {
                total_users: report.admins + report.drivers,
                admin_users: report.admins,
                regular_users: report.drivers,
            },
            reservation_stats: ReservationStats {
                total_reservations: report.active + report.reserved + report.completed,
                active_reservations: report.active,
                completed_reservations: report.completed,
                total_revenue: report.revenue,
            },
            monthly_trends: (months.clone())
                .map(|(month, figures)| MonthlyTrend { month, reservations: figures.reservations })
                .collect(),
            daily_revenue: (report.days.iter())
                .map(|(day, revenue)| DailyRevenue { date: day.date, revenue: *revenue })
                .collect(),
            monthly_revenue: months
                .map(|(month, figures)| MonthlyRevenue { month, revenue: figures.revenue })
                .collect(),
            payment_distribution: (report.methods.into_iter())
                .map(|(method, count)| PaymentMethod { method, count })
                .collect(),
            overall_occupancy: Occupancy {
                total_spots: sum(|lot| lot.total_spots),
                occupied_spots: sum(|lot| lot.occupied_spots),
                available_spots: sum(|lot| lot.available_spots),
            },
            parking_lots,
        }
    }
}

/// Read figures about lots, people, reservations and revenue.
#[utoipa::path(get, path = "/reports", tag = "reports", security(("bearer" = ["admin"])), params(IfNoneMatch), responses(
    (status = 200, description = "The figures as of now", body = Data<ReportAndCounters>),
))]
pub(crate) async fn read_reports(State(app): State<App>, _: Admin, headers: HeaderMap) -> Answer<Response> {
    let recipe = Recipe {
        // Another day, another report.
        key: format!("reports:{}", app.clock.now().with_timezone(&app.config.zone).date_naive()),
        groups: vec![Group::Catalog, Group::Occupancy, Group::Users],
        ttl: app.config.cache.reports,
    };
    let load = |app: App| async move { cached::entry(&Report::of(admin::report(&app).await?)) };
    let looker = app.clone();
    let entry = app.cache.get(recipe, move || load(looker.clone())).await?;
    // Counters change with every call, so they are never part of what is kept.
    let report = serde_json::from_slice(&entry.body).map_err(|e| Error::from(anyhow::Error::new(e)))?;
    let data = ReportAndCounters { report, redis_analytics: RedisAnalytics::now(&app).await };
    Ok(cached::conditional(&headers, cached::entry(&Data { msg: "report", data })?))
}

/// A part of a whole as a number, 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn ratio(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// With so many decimal places.
pub(crate) fn rounded(number: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (number * scale).round() / scale
}
