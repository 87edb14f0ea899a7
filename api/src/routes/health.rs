//! Liveness, readiness and the health of the services that Parkade needs.

use std::time::Instant;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use shared::{
    app::App,
    operations::schema,
    parking::notifications::outage,
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
    /// `ok`, or `degraded`: `msg` says why. Without Redis, responses are slower, and background work waits; without the mail
    /// server, mails wait.
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
    database: ServiceHealth,
    redis: ServiceHealth,
    /// `ok`, or which clock is wrong: that of this machine, of PostgreSQL or of Redis.
    #[schema(example = "ok")]
    clock: String,
    mail: MailHealth,
}

/// Whether the mail server takes mail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MailHealth {
    /// `ok`, or `held` while the mail server takes no mail; mails are sent when it does again.
    #[schema(example = "ok")]
    status: &'static str,
    /// Mails that wait for it.
    waiting: i64,
}

impl MailHealth {
    async fn load(app: &App) -> shared::Result<Self> {
        Ok(match outage::find(&app.db).await? {
            None => Self { status: "ok", waiting: 0 },
            Some(_) => Self { status: "held", waiting: outage::count_held(&app.db).await? },
        })
    }
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
/// It is ready while the database answers and has its schema, unless it is about to stop. Redis may be unavailable.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses((status = 200, description = "It is ready", body = Alive)))]
pub(crate) async fn ready(State(app): State<App>) -> Answer<Json<Alive>> {
    if app.draining.is_cancelled() {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into());
    }
    is_usable(&app).await?;
    Ok(Json(Alive { msg: "ready", status: "ok" }))
}

async fn is_usable(app: &App) -> shared::Result<()> {
    app.db.ping().await?;
    schema::check(&app.db).await
}

/// Check the health of everything.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "Requests are served, perhaps without Redis", body = Health),
))]
pub(crate) async fn health(State(app): State<App>) -> Answer<Json<Health>> {
    let started = Instant::now();
    let (database, redis) =
        tokio::join!(async { is_usable(&app).await.map(|()| ServiceHealth::new(started, true)) }, async {
            ServiceHealth::new(started, app.redis.ping().await.is_ok())
        },);
    let wrong = Offsets::measure(&app.db, &app.redis, &app.clock).await.wrong();
    let clock = wrong.map_or_else(|| "ok".to_owned(), |wrong| wrong.to_string());
    let mail = MailHealth::load(&app).await?;
    let (status, msg) = match (redis.status, mail.status) {
        _ if wrong.is_some() => ("degraded", "a clock is wrong; set the clocks of all machines"),
        _ if app.redis.access_problem().is_some() => {
            ("degraded", "the Redis user lacks permissions; parkade-api doctor names them")
        }
        ("ok", "ok") => ("ok", "all is well"),
        ("ok", _) => ("degraded", "the mail server takes no mail; mails are sent when it does again"),
        _ => ("degraded", "Redis is not available; requests are served without it"),
    };
    Ok(Json(Health {
        msg,
        status,
        version: env!("CARGO_PKG_VERSION"),
        database: database?,
        redis,
        clock,
        mail,
    }))
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
