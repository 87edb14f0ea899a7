//! The report for administrators.

use axum::{extract::State, http::HeaderMap, response::Response};
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value};
use shared::{
    Error,
    app::App,
    base::money::Money,
    parking::{
        lots,
        reports::admin::{self, LotFigures},
    },
    platform::{
        cache::{Group, Recipe},
        counters::Event,
    },
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::{Data, ratio, rounded},
        auth::Admin,
        cached,
        etag::{IfNoneMatch, conditional},
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_reports))
}

/// Figures about lots, users, reservations and revenue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Report {
    /// By id. Deleted lots are included while they have reservations.
    parking_lots: Vec<LotReport>,
    user_stats: UserStats,
    reservation_stats: ReservationStats,
    /// Reservations by the month in which they started: twelve months, oldest first.
    monthly_trends: Vec<MonthlyTrend>,
    /// By day of payment: thirty days, oldest first.
    daily_revenue: Vec<DailyRevenue>,
    /// By month of payment: twelve months, oldest first.
    monthly_revenue: Vec<MonthlyRevenue>,
    payment_distribution: Vec<PaymentMethod>,
    overall_occupancy: Occupancy,
}

/// The report with the counters in Redis.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportAndCounters {
    #[serde(flatten)]
    #[schema(value_type = Report)]
    report: Map<String, Value>,
    redis_analytics: RedisAnalytics,
}

/// The figures of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotReport {
    id: i64,
    location_name: String,
    /// Whether the lot has been deleted.
    archived: bool,
    total_spots: i64,
    occupied_spots: i64,
    available_spots: i64,
    /// In percent.
    occupancy_rate: f64,
    total_reservations: i64,
    #[schema(value_type = f64)]
    total_revenue: Money,
    /// Unpaid bills.
    #[schema(value_type = f64)]
    outstanding: Money,
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
            outstanding: lot.outstanding,
        }
    }
}

/// Users by role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserStats {
    total_users: i64,
    admin_users: i64,
    /// Attendants.
    attendant_users: i64,
    /// Drivers.
    regular_users: i64,
}

/// Reservations that were not cancelled and did not expire.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationStats {
    total_reservations: i64,
    active_reservations: i64,
    completed_reservations: i64,
    /// What was paid, less refunds.
    #[schema(value_type = f64)]
    total_revenue: Money,
    /// The part of it that attendants and administrators have verified.
    #[schema(value_type = f64)]
    verified_revenue: Money,
    /// The part of it that drivers have declared.
    #[schema(value_type = f64)]
    declared_revenue: Money,
    /// What was refunded, each on its day. The revenue of the day of the payment stays.
    #[schema(value_type = f64)]
    refunded: Money,
    /// Unpaid bills.
    #[schema(value_type = f64)]
    outstanding: Money,
}

/// The reservations of a month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlyTrend {
    /// `November 2026`
    month: String,
    reservations: i64,
}

/// The payments of a day, less its refunds, so that it may be negative.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyRevenue {
    date: NaiveDate,
    #[schema(value_type = f64)]
    revenue: Money,
}

/// The payments of a month, less its refunds, so that it may be negative.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthlyRevenue {
    /// `November 2026`
    month: String,
    #[schema(value_type = f64)]
    revenue: Money,
}

/// How often a payment method was used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentMethod {
    method: String,
    count: i64,
}

/// The spots of all lots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Occupancy {
    total_spots: i64,
    occupied_spots: i64,
    available_spots: i64,
}

/// The counters in Redis, or why they are not available.
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
    async fn load(app: &App) -> Self {
        Self::read(app).await.unwrap_or(Self::Unknown { error: "Redis is not available" })
    }

    async fn read(app: &App) -> shared::Result<Self> {
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

impl From<admin::Report> for Report {
    fn from(report: admin::Report) -> Self {
        let parking_lots: Vec<_> = report.lots.into_iter().map(LotReport::from).collect();
        let sum = |figure: fn(&LotReport) -> i64| parking_lots.iter().map(figure).sum();
        let months = report.months.iter().map(|month| (month.month.month_and_year(), month));
        Self {
            user_stats: UserStats {
                total_users: report.admins + report.attendants + report.drivers,
                admin_users: report.admins,
                attendant_users: report.attendants,
                regular_users: report.drivers,
            },
            reservation_stats: ReservationStats {
                total_reservations: report.active + report.reserved + report.completed,
                active_reservations: report.active,
                completed_reservations: report.completed,
                total_revenue: report.revenue,
                verified_revenue: report.verified,
                declared_revenue: Money::from_minor(report.revenue.minor() - report.verified.minor()),
                refunded: report.refunded,
                outstanding: report.outstanding,
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

/// Read figures about lots, users, reservations and revenue.
#[utoipa::path(get, path = "/reports", tag = "reports", params(IfNoneMatch), responses(
    (status = 200, description = "The current figures", body = Data<ReportAndCounters>),
))]
pub(crate) async fn read_reports(State(app): State<App>, _: Admin, headers: HeaderMap) -> Answer<Response> {
    let recipe = Recipe {
        // The report covers days, so it changes at midnight.
        key: format!("reports:{}", app.clock.now().with_timezone(&app.config.zone).date_naive()),
        groups: vec![Group::Catalog, Group::Occupancy, Group::Users],
        ttl: app.config.cache.reports,
    };
    let load = |app: App| async move {
        let expires_at = lots::next_boundary(&app, lots::Moment::of(&app)).await?;
        Ok(cached::until(expires_at, cached::entry(&Report::from(admin::report(&app).await?))?))
    };
    let loader = app.clone();
    let entry = app.cache.get(recipe, move || load(loader.clone())).await?;
    // Counters change with every request, so they are not cached.
    let report = serde_json::from_slice(&entry.body).map_err(|e| Error::from(anyhow::Error::new(e)))?;
    let data = ReportAndCounters { report, redis_analytics: RedisAnalytics::load(&app).await };
    Ok(conditional(&headers, cached::entry(&Data { msg: "report", data })?))
}
