//! Redis for whoever runs it: what it holds, clearing it, and emptying everything for a demonstration.

use std::{collections::BTreeMap, time::Duration};

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    operations::{
        clear::{self, Scope},
        dashboard::{self, Dashboard},
        reset,
    },
    platform::cache::Recipe,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::Admin,
        cached::{self, IfNoneMatch},
        extract::{Json as Body, OptionalJson},
        problem::Answer,
    },
    routes::reports::{Data, ratio, rounded},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read_dashboard))
        .routes(routes!(clear_cache))
        .routes(routes!(clear_cache_too))
        .routes(routes!(reset_database))
}

/// Redis: the server, what is counted, and what is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedisBoard {
    /// `connected`.
    #[schema(example = "connected")]
    connection_status: &'static str,
    server_info: ServerInfo,
    /// Counters by name, such as `total_logins`, and `active_users_count`.
    application_metrics: BTreeMap<&'static str, i64>,
    daily_metrics: DailyMetrics,
    /// Thirty days, the oldest first.
    history: Vec<DayView>,
    /// Answers by status.
    response_codes: BTreeMap<String, i64>,
    /// Answers from the cache, by kind.
    cache_hits: Vec<HitsView>,
    /// Calls that were refused because there were too many.
    rate_limit_violations: i64,
    cache_info: CacheInfo,
}

/// The server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerInfo {
    #[schema(example = "7.2.4")]
    redis_version: String,
    #[schema(example = "1.05M")]
    used_memory_human: String,
    used_memory: u64,
    /// 0 for no limit.
    maxmemory: u64,
    #[schema(example = "noeviction")]
    maxmemory_policy: String,
    connected_clients: u64,
    uptime_seconds: u64,
}

/// Today.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyMetrics {
    today_logins: i64,
    today_registrations: i64,
    today_reservations: i64,
}

/// A local day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayView {
    date: chrono::NaiveDate,
    logins: i64,
    registrations: i64,
    reservations: i64,
}

/// How often an answer was in the cache.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HitsView {
    /// The kind of answer.
    #[schema(example = "parking_lots")]
    group: &'static str,
    hits: i64,
    misses: i64,
    /// Answers made because Redis was away.
    errors: i64,
    /// Hits of hits and misses, from 0 to 1.
    hit_rate: f64,
}

/// Keys of this installation in database 0.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheInfo {
    total_keys: i64,
    cached_answers: i64,
    cached_parking_lots: i64,
    /// Those that were in use in the last 12 hours.
    active_sessions: i64,
    rate_limits_active: i64,
    /// Whether all keys were looked at; else the counts are of a part.
    complete: bool,
}

impl From<Dashboard> for RedisBoard {
    fn from(board: Dashboard) -> Self {
        let today = board.days.last().copied();
        let metric = |of: fn(dashboard::Day) -> i64| today.map_or(0, of);
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
            history: board.days.into_iter().map(DayView::from).collect(),
            response_codes: board.statuses.into_iter().map(|(code, n)| (code.to_string(), n)).collect(),
            cache_hits: board.hits.into_iter().map(HitsView::from).collect(),
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

impl From<dashboard::Day> for DayView {
    fn from(day: dashboard::Day) -> Self {
        let dashboard::Day { date, logins, registrations, reservations } = day;
        Self { date, logins, registrations, reservations }
    }
}

impl From<dashboard::Hits> for HitsView {
    fn from(of: dashboard::Hits) -> Self {
        let dashboard::Hits { group, hits, misses, errors } = of;
        Self { group, hits, misses, errors, hit_rate: rounded(ratio(hits, hits + misses), 4) }
    }
}

/// What to clear.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ClearCache {
    /// The cache alone when left out.
    #[serde(default)]
    #[schema(inline)]
    scope: Vec<ScopeName>,
}

/// A family of keys.
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

/// The words that confirm it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResetDatabase {
    /// `delete all data`.
    #[schema(example = "delete all data")]
    confirm: String,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WasReset {
    msg: &'static str,
    deleted_rows: u64,
    deleted_files: u64,
    /// Null when Redis was away.
    cleared_cache_keys: Option<u64>,
    /// `success`.
    #[schema(example = "success")]
    status: &'static str,
}

/// However many watch, Redis is looked through once in this time.
const GLANCE: Duration = Duration::from_secs(2);

/// Show what Redis is, counts and stores, as of at most two seconds ago.
#[utoipa::path(get, path = "/admin/redis-dashboard", tag = "admin", security(("bearer" = ["admin"])), params(IfNoneMatch), responses(
    (status = 200, description = "Everything about Redis", body = Data<RedisBoard>),
    (status = 503, description = "Redis is away"),
))]
pub(crate) async fn read_dashboard(State(app): State<App>, _: Admin, headers: HeaderMap) -> Answer<Response> {
    let recipe = Recipe { key: "dashboard:redis".into(), groups: Vec::new(), ttl: GLANCE };
    cached::answer(&app, &headers, recipe, |app| async move {
        let data = RedisBoard::from(dashboard::read(&app).await?);
        cached::entry(&Data { msg: "Redis", data })
    })
    .await
}

/// Clear caches, counters or rate limits; sessions and jobs stay.
#[utoipa::path(post, path = "/admin/clear-cache", tag = "admin", security(("bearer" = ["admin"])), request_body = Option<ClearCache>, responses(
    (status = 200, description = "They are gone", body = Cleared),
    (status = 400, description = "There is no such scope"),
    (status = 503, description = "Redis is away"),
))]
pub(crate) async fn clear_cache(
    State(app): State<App>,
    Admin(who): Admin,
    OptionalJson(what): OptionalJson<ClearCache>,
) -> Answer<Json<Cleared>> {
    let named: Vec<Scope> = what.scope.into_iter().map(Scope::from).collect();
    let scopes = if named.is_empty() { vec![Scope::Cache] } else { named };
    let cleared_keys = clear::clear(&app, Some(who.user_id), &scopes).await?;
    Ok(Json(Cleared { msg: "cleared", cleared_keys, status: "success" }))
}

/// The same under another name.
#[utoipa::path(post, path = "/admin/cache/clear", tag = "admin", security(("bearer" = ["admin"])), request_body = Option<ClearCache>, responses(
    (status = 200, description = "They are gone", body = Cleared),
    (status = 400, description = "There is no such scope"),
    (status = 503, description = "Redis is away"),
))]
pub(crate) async fn clear_cache_too(
    app: State<App>,
    who: Admin,
    what: OptionalJson<ClearCache>,
) -> Answer<Json<Cleared>> {
    clear_cache(app, who, what).await
}

/// Delete all data but the administrators; where `ALLOW_RESET` says so, and never in production.
#[utoipa::path(post, path = "/admin/reset-database", tag = "admin", security(("bearer" = ["admin"])), request_body = ResetDatabase, responses(
    (status = 200, description = "It is gone", body = WasReset),
    (status = 400, description = "The words are others"),
    (status = 409, description = "It is not allowed here"),
))]
pub(crate) async fn reset_database(
    State(app): State<App>,
    Admin(who): Admin,
    Body(words): Body<ResetDatabase>,
) -> Answer<Json<WasReset>> {
    let removed = reset::reset(&app, Some(who.user_id), &words.confirm).await?;
    Ok(Json(WasReset {
        msg: "all data is deleted",
        deleted_rows: removed.rows,
        deleted_files: removed.files,
        cleared_cache_keys: removed.keys,
        status: "success",
    }))
}
