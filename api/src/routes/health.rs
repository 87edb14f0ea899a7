//! Is it there, is it ready, how are its parts, and the greeting at the root.

use std::time::Instant;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde::Serialize;
use shared::{app::App, platform::counters::Event};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::problem::Answer;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(redis_health))
}

pub(crate) fn root() -> Router<App> {
    Router::new().route("/", get(greet))
}

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    msg: &'static str,
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// How everything is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    msg: &'static str,
    /// `ok`, or `degraded` without Redis: slower, and background work waits.
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
    database: Part,
    redis: Part,
}

/// Something that is needed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Part {
    /// `ok` or `away`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Round trip in milliseconds.
    took_ms: f64,
}

impl Part {
    fn of(begun: Instant, is_there: bool) -> Self {
        let took_ms = (begun.elapsed().as_secs_f64() * 1e5).round() / 100.0;
        Self { status: if is_there { "ok" } else { "away" }, took_ms }
    }
}

/// Redis and what it counts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedisHealth {
    msg: &'static str,
    stats: RedisStats,
}

/// Figures of Redis.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedisStats {
    /// `connected`.
    #[schema(example = "connected")]
    status: &'static str,
    /// Users seen in the last 12 hours.
    active_users: i64,
    total_logins: i64,
    total_registrations: i64,
    app_name: &'static str,
}

async fn greet() -> Json<Alive> {
    Json(Alive { msg: "Parkade is running; its API is under /api, its documentation at /docs", status: "ok" })
}

/// Tell that the process runs.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, description = "It does", body = Alive)))]
pub(crate) async fn live() -> Json<Alive> {
    Json(Alive { msg: "alive", status: "ok" })
}

/// Tell whether the process can do its work.
///
/// It can when the database answers and the process is not about to stop. Redis may be away.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200, description = "It can", body = Alive)))]
pub(crate) async fn ready(State(app): State<App>) -> Answer<Json<Alive>> {
    if app.draining.is_cancelled() {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into());
    }
    app.db.ping().await?;
    Ok(Json(Alive { msg: "ready", status: "ok" }))
}

/// Tell how everything is.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "Requests are answered, perhaps without Redis", body = Health),
))]
pub(crate) async fn health(State(app): State<App>) -> Answer<Json<Health>> {
    let begun = Instant::now();
    let (database, redis) =
        tokio::join!(async { app.db.ping().await.map(|()| Part::of(begun, true)) }, async {
            Part::of(begun, app.redis.ping().await.is_ok())
        },);
    let (status, msg) = match redis.status {
        "ok" => ("ok", "all is well"),
        _ => ("degraded", "Redis is away; requests are answered without it"),
    };
    Ok(Json(Health { msg, status, version: env!("CARGO_PKG_VERSION"), database: database?, redis }))
}

/// Tell how Redis is.
#[utoipa::path(get, path = "/health/redis", tag = "health", responses(
    (status = 200, description = "It answers", body = RedisHealth),
    (status = 503, description = "It is away"),
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
