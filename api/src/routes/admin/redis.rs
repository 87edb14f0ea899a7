//! Redis: a dashboard of what it holds, and clearing it.

use std::{collections::BTreeMap, time::Duration};

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    operations::{
        clear::{self, Scope},
        dashboard::{self, Dashboard},
    },
    platform::cache::Recipe,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::{Data, ratio, rounded},
        auth::Admin,
        body::OptionalJson,
        cached,
        etag::IfNoneMatch,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(read_dashboard))
        .routes(routes!(clear_cache))
        .routes(routes!(clear_cache_alias))
}

/// The server, the counters and the stored keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedisDashboard {
    /// `connected`.
    #[schema(example = "connected")]
    connection_status: &'static str,
    server_info: ServerInfo,
    /// Counters by name, such as `total_logins`, and `active_users_count`.
    application_metrics: BTreeMap<&'static str, i64>,
    daily_metrics: DailyMetrics,
    /// Thirty days, oldest first.
    history: Vec<DailyCounts>,
    /// The number of responses by status.
    response_codes: BTreeMap<String, i64>,
    /// Cache lookups by kind of answer.
    cache_hits: Vec<CacheHits>,
    /// Requests that were rejected by a rate limit.
    rate_limit_violations: i64,
    cache_info: CacheInfo,
}

/// The Redis server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerInfo {
    #[schema(example = "7.2.4")]
    redis_version: String,
    #[schema(example = "1.05M")]
    used_memory_human: String,
    used_memory: u64,
    /// 0 if there is no limit.
    maxmemory: u64,
    #[schema(example = "noeviction")]
    maxmemory_policy: String,
    connected_clients: u64,
    uptime_seconds: u64,
}

/// The counters of today.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyMetrics {
    today_logins: i64,
    today_registrations: i64,
    today_reservations: i64,
}

/// The counters of a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyCounts {
    date: chrono::NaiveDate,
    logins: i64,
    registrations: i64,
    reservations: i64,
}

/// How often a kind of answer was in the cache.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheHits {
    /// The kind of answer.
    #[schema(example = "parking_lots")]
    group: &'static str,
    hits: i64,
    misses: i64,
    /// Lookups that failed because Redis was not available.
    errors: i64,
    /// Hits divided by hits and misses, from 0 to 1.
    hit_rate: f64,
}

/// The keys of this installation in database 0.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheInfo {
    total_keys: i64,
    cached_answers: i64,
    cached_parking_lots: i64,
    /// Sessions that were used in the last 12 hours.
    active_sessions: i64,
    rate_limits_active: i64,
    /// Whether all keys were counted; if not, the counts are too low.
    complete: bool,
}

impl From<Dashboard> for RedisDashboard {
    fn from(board: Dashboard) -> Self {
        let today = board.days.last().copied();
        let metric = |count: fn(dashboard::Day) -> i64| today.map_or(0, count);
        let totals = board.totals.into_iter().chain([("active_users_count", board.active_users)]);
        let mut metrics: BTreeMap<_, _> = totals.collect();
        Self {
            connection_status: "connected",
            server_info: ServerInfo {
                redis_version: board.server.version,
                used_memory_human: board.server.memory,
                used_memory: board.server.memory_bytes,
                maxmemory: board.server.memory_limit,
                maxmemory_policy: board.server.eviction,
                connected_clients: board.server.clients,
                uptime_seconds: board.server.uptime,
            },
            rate_limit_violations: metrics.remove("rate_limit_violations").unwrap_or_default(),
            application_metrics: metrics,
            daily_metrics: DailyMetrics {
                today_logins: metric(|day| day.logins),
                today_registrations: metric(|day| day.registrations),
                today_reservations: metric(|day| day.reservations),
            },
            history: board.days.into_iter().map(DailyCounts::from).collect(),
            response_codes: board.statuses.into_iter().map(|(code, n)| (code.to_string(), n)).collect(),
            cache_hits: board.hits.into_iter().map(CacheHits::from).collect(),
            cache_info: CacheInfo {
                total_keys: board.keys.total,
                cached_answers: board.keys.cache,
                cached_parking_lots: board.keys.lots,
                active_sessions: board.keys.sessions,
                rate_limits_active: board.keys.rate_limits,
                complete: board.keys.is_complete,
            },
        }
    }
}

impl From<dashboard::Day> for DailyCounts {
    fn from(day: dashboard::Day) -> Self {
        let dashboard::Day { date, logins, registrations, reservations } = day;
        Self { date, logins, registrations, reservations }
    }
}

impl From<dashboard::Hits> for CacheHits {
    fn from(hits: dashboard::Hits) -> Self {
        let dashboard::Hits { group, hits, misses, errors } = hits;
        Self { group, hits, misses, errors, hit_rate: rounded(ratio(hits, hits + misses), 4) }
    }
}

/// What to clear.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ClearCache {
    /// By default only the cache.
    #[serde(default)]
    #[schema(inline)]
    scope: Vec<ScopeName>,
}

/// A group of keys.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(try_from = "String", rename_all = "snake_case")]
enum ScopeName {
    Cache,
    Counters,
    RateLimits,
}

impl TryFrom<String> for ScopeName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "cache" => Ok(Self::Cache),
            "counters" => Ok(Self::Counters),
            "rate_limits" => Ok(Self::RateLimits),
            _ => Err("must be cache, counters or rate_limits"),
        }
    }
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Cache => Self::Cache,
            ScopeName::Counters => Self::Counters,
            ScopeName::RateLimits => Self::RateLimits,
        }
    }
}

/// What was cleared.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cleared {
    msg: &'static str,
    cleared_keys: u64,
    /// `success`.
    #[schema(example = "success")]
    status: &'static str,
}

/// Counting keys is expensive, so all viewers share one result for this time.
const DASHBOARD_TTL: Duration = Duration::from_secs(2);

/// Show the state of Redis, at most two seconds old.
#[utoipa::path(get, path = "/admin/redis-dashboard", tag = "admin", params(IfNoneMatch), responses(
    (status = 200, description = "The dashboard", body = Data<RedisDashboard>),
    (status = 503, description = "Redis is not available"),
))]
pub(crate) async fn read_dashboard(State(app): State<App>, _: Admin, headers: HeaderMap) -> Answer<Response> {
    let recipe = Recipe { key: "dashboard:redis".into(), groups: Vec::new(), ttl: DASHBOARD_TTL };
    cached::answer(&app, &headers, recipe, |app| async move {
        let data = RedisDashboard::from(dashboard::read(&app).await?);
        cached::entry(&Data { msg: "Redis", data })
    })
    .await
}

/// Clear the cache, counters or rate limits.
///
/// Sessions and jobs are kept.
#[utoipa::path(post, path = "/admin/clear-cache", tag = "admin", request_body = Option<ClearCache>, responses(
    (status = 200, description = "The keys are deleted", body = Cleared),
    (status = 400, description = "No such scope"),
    (status = 503, description = "Redis is not available"),
))]
pub(crate) async fn clear_cache(
    State(app): State<App>,
    Admin(admin): Admin,
    OptionalJson(body): OptionalJson<ClearCache>,
) -> Answer<Json<Cleared>> {
    let named: Vec<Scope> = body.scope.into_iter().map(Scope::from).collect();
    let scopes = if named.is_empty() { vec![Scope::Cache] } else { named };
    let cleared_keys = clear::clear(&app, Some(admin.user_id), &scopes).await?;
    Ok(Json(Cleared { msg: "cleared", cleared_keys, status: "success" }))
}

/// Clear the cache, counters or rate limits: the same as `/admin/clear-cache`.
#[utoipa::path(post, path = "/admin/cache/clear", tag = "admin", request_body = Option<ClearCache>, responses(
    (status = 200, description = "The keys are deleted", body = Cleared),
    (status = 400, description = "No such scope"),
    (status = 503, description = "Redis is not available"),
))]
pub(crate) async fn clear_cache_alias(
    app: State<App>,
    admin: Admin,
    body: OptionalJson<ClearCache>,
) -> Answer<Json<Cleared>> {
    clear_cache(app, admin, body).await
}
