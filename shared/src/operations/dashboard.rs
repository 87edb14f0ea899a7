//! Redis for operators: server, counters, daily history, cache hits and keys.

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use redis::{InfoDict, RedisResult, aio::ConnectionManager};

use crate::{app::App, base::error::Result};

/// HTTP status codes with a counter.
const STATUSES: [u16; 17] =
    [200, 201, 202, 206, 304, 400, 401, 403, 404, 405, 409, 410, 412, 422, 429, 500, 503];

/// Length of the history.
const DAYS: u64 = 30;

/// Keys examined at most, so that counting does not slow down a large Redis.
const MAX_SCANNED: u64 = 100_000;
const SCAN_COUNT: u32 = 1_000;

/// The server behind database 0.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// Redis version.
    pub version: String,
    /// Memory used, such as `1.05M`.
    pub memory: String,
    /// Memory used in bytes.
    pub memory_bytes: u64,
    /// `maxmemory` in bytes, 0 for no limit.
    pub memory_limit: u64,
    /// `maxmemory-policy`.
    pub eviction: String,
    /// Connected clients.
    pub clients: u64,
    /// Uptime in seconds.
    pub uptime: u64,
}

/// Counters of one day in the configured time zone.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    /// Local date.
    pub date: NaiveDate,
    /// Logins.
    pub logins: i64,
    /// New accounts.
    pub registrations: i64,
    /// Bookings and reservations.
    pub reservations: i64,
}

/// Cache hits and misses of one kind of response.
#[derive(Debug, Clone)]
pub struct Hits {
    /// The kind of response.
    pub group: &'static str,
    /// Served from Redis.
    pub hits: i64,
    /// Loaded from the database.
    pub misses: i64,
    /// Loaded from the database because Redis was away.
    pub errors: i64,
}

/// Numbers of our keys in database 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyCounts {
    /// All keys.
    pub total: i64,
    /// Cached responses.
    pub cache: i64,
    /// Cached responses about lots.
    pub lots: i64,
    /// Sessions used in the last 12 hours.
    pub sessions: i64,
    /// Callers with a partly used rate limit.
    pub rate_limits: i64,
    /// False if there are too many keys to count them all.
    pub is_complete: bool,
}

/// The state of Redis.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// The Redis server.
    pub server: Server,
    /// Counters by name.
    pub totals: Vec<(&'static str, i64)>,
    /// The last 30 days, today last.
    pub days: Vec<Day>,
    /// Responses by HTTP status.
    pub statuses: Vec<(u16, i64)>,
    /// Cache hits by kind of response.
    pub hits: Vec<Hits>,
    /// Users active in the last 12 hours.
    pub active_users: i64,
    /// Stored keys.
    pub keys: KeyCounts,
}

/// Kinds of cached responses.
const GROUPS: [&str; 11] = [
    "users",
    "user_lookup",
    "user",
    "parking_lots",
    "parking_lot",
    "available_spots",
    "user_reservations",
    "user_report",
    "booking_history",
    "reports",
    "dashboard",
];

/// Counters that never reset.
const TOTALS: [&str; 12] = [
    "total_api_calls",
    "total_logins",
    "total_logouts",
    "total_registrations",
    "users_created",
    "users_deleted",
    "parking_lots_created",
    "parking_lots_deleted",
    "total_reservations",
    "reservations_cancelled",
    "emails_sent_total",
    "rate_limit_violations",
];

/// Reads everything in a few round trips that do not block the server.
///
/// # Errors
/// [`crate::Error::Unavailable`] when Redis is away.
pub async fn read(app: &App) -> Result<Dashboard> {
    let today = app.clock.now().with_timezone(&app.config.zone).date_naive();
    let dates: Vec<NaiveDate> =
        (0..DAYS).rev().filter_map(|back| today.checked_sub_days(Days::new(back))).collect();
    let (counts, active_users) = counts(app, &dates).await?;
    let count = |name: String| counts.get(&name).copied().unwrap_or_default();
    let hits = |group| Hits {
        group,
        hits: count(format!("cache_hits:{group}")),
        misses: count(format!("cache_misses:{group}")),
        errors: count(format!("cache_errors:{group}")),
    };
    let day = |date: NaiveDate| Day {
        date,
        logins: count(format!("daily_logins:{date}")),
        registrations: count(format!("daily_registrations:{date}")),
        reservations: count(format!("daily_reservations:{date}")),
    };
    Ok(Dashboard {
        server: app.redis.query(server).await?,
        totals: TOTALS.map(|name| (name, count(name.to_owned()))).to_vec(),
        days: dates.iter().copied().map(day).collect(),
        statuses: STATUSES.map(|status| (status, count(format!("response_codes:{status}")))).to_vec(),
        hits: GROUPS.map(hits).to_vec(),
        active_users,
        keys: key_counts(app).await?,
    })
}

async fn counts(app: &App, dates: &[NaiveDate]) -> Result<(HashMap<String, i64>, i64)> {
    let daily = ["daily_logins", "daily_registrations", "daily_reservations"];
    let cache = ["cache_hits", "cache_misses", "cache_errors"];
    let names: Vec<String> = TOTALS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(STATUSES.iter().map(|status| format!("response_codes:{status}")))
        .chain(daily.iter().flat_map(|name| dates.iter().map(move |date| format!("{name}:{date}"))))
        .chain(cache.iter().flat_map(|name| GROUPS.iter().map(move |group| format!("{name}:{group}"))))
        .collect();
    let (counts, active_users) = app.counters.read_with_active_users(&names).await?;
    Ok((names.into_iter().zip(counts).collect(), active_users))
}

async fn server(mut redis: ConnectionManager) -> RedisResult<Server> {
    let info: InfoDict = redis::cmd("INFO").query_async(&mut redis).await?;
    Ok(Server {
        version: info.get("redis_version").unwrap_or_default(),
        memory: info.get("used_memory_human").unwrap_or_default(),
        memory_bytes: info.get("used_memory").unwrap_or_default(),
        memory_limit: info.get("maxmemory").unwrap_or_default(),
        eviction: info.get("maxmemory_policy").unwrap_or_default(),
        clients: info.get("connected_clients").unwrap_or_default(),
        uptime: info.get("uptime_in_seconds").unwrap_or_default(),
    })
}

async fn key_counts(app: &App) -> Result<KeyCounts> {
    let (prefix, pattern) = (app.redis.keys().prefix(), app.redis.keys().pattern("*"));
    Ok(app.redis.query(|redis| scan(redis, prefix, pattern)).await?)
}

/// Counts our keys by prefix, and stops after [`MAX_SCANNED`] keys.
async fn scan(mut redis: ConnectionManager, prefix: String, pattern: String) -> RedisResult<KeyCounts> {
    let (mut cursor, mut scanned, mut found) = (0_u64, 0, KeyCounts::default());
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_COUNT);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut redis).await?;
        for key in keys.iter().filter_map(|key| key.strip_prefix(&prefix)) {
            found.total += 1;
            found.cache += i64::from(key.starts_with("cache:"));
            found.lots += i64::from(key.starts_with("cache:parking_lot"));
            found.sessions += i64::from(key.starts_with("user_session:"));
            found.rate_limits += i64::from(key.starts_with("rate_limit:"));
        }
        (cursor, scanned) = (next, scanned + u64::from(SCAN_COUNT));
        found.is_complete = cursor == 0;
        if found.is_complete || scanned >= MAX_SCANNED {
            return Ok(found);
        }
    }
}
