//! Liveness, readiness and the health of the services that Parkade needs.

use std::time::Instant;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use shared::{
    app::App,
    platform::{clock_check::Offsets, counters::Event},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{http::problem::Answer, state::ApiState};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(redis_health))
}

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    pub(crate) msg: &'static str,
    /// `ok`.
    #[schema(example = "ok")]
    pub(crate) status: &'static str,
}

/// The health of everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    msg: &'static str,
    /// `ok`, or `degraded`: `msg` says why. Without Redis, responses are slower, and background work waits.
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
    database: ServiceHealth,
    redis: ServiceHealth,
    /// `ok`, or which clock is wrong: that of this machine, of PostgreSQL or of Redis.
    #[schema(example = "ok")]
    clock: String,
}

/// The health of one service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceHealth {
    /// `ok` or `away`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Round trip in milliseconds.
    took_ms: f64,
}

impl ServiceHealth {
    fn new(started: Instant, is_available: bool) -> Self {
        let took_ms = (started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
        Self { status: if is_available { "ok" } else { "away" }, took_ms }
    }
}

/// The health of Redis.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedisHealth {
    msg: &'static str,
    stats: RedisStats,
}

/// What Redis counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedisStats {
    /// `connected`.
    #[schema(example = "connected")]
    status: &'static str,
    /// Users who were active in the last 12 hours.
    active_users: i64,
    total_logins: i64,
    total_registrations: i64,
    app_name: &'static str,
}

/// Check that the process is alive.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, description = "It is alive", body = Alive)))]
pub(crate) async fn live() -> Json<Alive> {
    Json(Alive { msg: "alive", status: "ok" })
}

/// Check that the process is ready for requests.
///
/// It is ready while the database answers, unless it is about to stop. Redis may be unavailable.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200, description = "It is ready", body = Alive)))]
pub(crate) async fn ready(State(app): State<App>) -> Answer<Json<Alive>> {
    if app.draining.is_cancelled() {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into());
    }
    app.db.ping().await?;
    Ok(Json(Alive { msg: "ready", status: "ok" }))
}

/// Check the health of everything.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "Requests are served, perhaps without Redis", body = Health),
))]
pub(crate) async fn health(State(app): State<App>) -> Answer<Json<Health>> {
    let started = Instant::now();
    let (database, redis) =
        tokio::join!(async { app.db.ping().await.map(|()| ServiceHealth::new(started, true)) }, async {
            ServiceHealth::new(started, app.redis.ping().await.is_ok())
        },);
    let wrong = Offsets::measure(&app.db, &app.redis, &app.clock).await.wrong();
    let clock = wrong.map_or_else(|| "ok".to_owned(), |wrong| wrong.to_string());
    let (status, msg) = match redis.status {
        _ if wrong.is_some() => ("degraded", "a clock is wrong; set the clocks of all machines"),
        _ if app.redis.access_problem().is_some() => {
            ("degraded", "the Redis user lacks permissions; parkade-api doctor names them")
        }
        "ok" => ("ok", "all is well"),
        _ => ("degraded", "Redis is not available; requests are served without it"),
    };
    Ok(Json(Health { msg, status, version: env!("CARGO_PKG_VERSION"), database: database?, redis, clock }))
}

/// Check the health of Redis.
#[utoipa::path(get, path = "/health/redis", tag = "health", responses(
    (status = 200, description = "Redis answers", body = RedisHealth),
    (status = 503, description = "Redis is not available"),
))]
pub(crate) async fn redis_health(State(app): State<App>) -> Answer<Json<RedisHealth>> {
    app.redis.ping().await?;
    let names = [Event::Login, Event::Registration].map(|event| app.counters.names(event).0);
    let (counts, active_users) = app.counters.read_with_active_users(&names).await?;
    let stats = RedisStats {
        status: "connected",
        active_users,
        total_logins: counts[0],
        total_registrations: counts[1],
        app_name: "Parkade",
    };
    Ok(Json(RedisHealth { msg: "Redis answers", stats }))
}
