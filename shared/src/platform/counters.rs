//! Usage counters in Redis, added up in the process and written a few times a second, off the path of requests.
//!
//! Counts may be lost with the process; nothing is decided by them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use chrono_tz::Tz;
use parking_lot::Mutex;
use redis::{FromRedisValue, Pipeline, RedisResult};

use crate::{
    base::{clock::Clock, error::Result},
    platform::{
        metrics,
        redis::{Keys, Redis},
    },
};

/// What is counted, in total and partly also by day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A login.
    Login,
    /// A logout.
    Logout,
    /// A driver registered.
    Registration,
    /// An administrator created an account.
    UserCreated,
    /// An account was deleted.
    UserDeleted,
    /// A lot was created.
    LotCreated,
    /// A lot was archived.
    LotDeleted,
    /// A spot was booked or reserved.
    Reservation,
    /// A reservation was cancelled.
    Cancellation,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 9] = [
        Self::Login,
        Self::Logout,
        Self::Registration,
        Self::UserCreated,
        Self::UserDeleted,
        Self::LotCreated,
        Self::LotDeleted,
        Self::Reservation,
        Self::Cancellation,
    ];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().0.trim_start_matches("total_")
    }

    /// The total and the daily counter, if there is one.
    const fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Login => ("total_logins", Some("daily_logins")),
            Self::Logout => ("total_logouts", None),
            Self::Registration => ("total_registrations", Some("daily_registrations")),
            Self::UserCreated => ("users_created", None),
            Self::UserDeleted => ("users_deleted", None),
            Self::LotCreated => ("parking_lots_created", None),
            Self::LotDeleted => ("parking_lots_deleted", None),
            Self::Reservation => ("total_reservations", Some("daily_reservations")),
            Self::Cancellation => ("reservations_cancelled", None),
        }
    }
}

/// How long a daily counter is kept.
const DAILY_COUNTER_TTL: TimeDelta = TimeDelta::days(40);

/// A user who was seen within this time is active.
pub const ACTIVE_FOR: TimeDelta = TimeDelta::hours(12);

/// How long counts wait in the process before they are written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// Names, and users, that may wait to be written; beyond that they are not counted.
const MAX_PENDING: usize = 10_000;

/// The counters, with the counts that are still to be written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Counters {
    shared: Arc<Shared>,
    clock: Clock,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    redis: Redis,
    zone: Tz,
    is_enabled: bool,
}

#[derive(Debug, Default)]
struct Pending {
    counts: HashMap<String, i64>,
    /// Active users with the time they were last seen, in seconds since 1970.
    seen: HashMap<i64, i64>,
    gone: Vec<i64>,
    is_flush_scheduled: bool,
}

impl Pending {
    /// Takes the counts with these names, and all changes of active users.
    fn take<S: AsRef<str>>(&mut self, names: &[S]) -> Self {
        let counts = names.iter().filter_map(|name| self.counts.remove_entry(name.as_ref())).collect();
        let (seen, gone) = (std::mem::take(&mut self.seen), std::mem::take(&mut self.gone));
        Self { counts, seen, gone, is_flush_scheduled: false }
    }

    fn write_commands(&self, keys: Keys<'_>) -> Pipeline {
        let mut pipe = redis::pipe();
        for (name, count) in &self.counts {
            let key = keys.counter(name);
            pipe.incr(&key, count).ignore();
            if name.starts_with("daily_") {
                pipe.expire(&key, DAILY_COUNTER_TTL.num_seconds()).ignore();
            }
        }
        for (user, at) in &self.seen {
            pipe.zadd(keys.active_users(), user, at).ignore();
        }
        if !self.gone.is_empty() {
            pipe.zrem(keys.active_users(), &self.gone).ignore();
        }
        if let Some(latest) = self.seen.values().max() {
            let (users, seconds) = (keys.active_users(), ACTIVE_FOR.num_seconds());
            pipe.zrembyscore(&users, "-inf", latest - seconds).ignore();
            pipe.expire(users, seconds).ignore();
        }
        pipe
    }

    /// Adds what could not be written, to be written with the next counts.
    fn put_back(&mut self, earlier: Self) {
        for (name, count) in earlier.counts {
            if self.counts.len() < MAX_PENDING || self.counts.contains_key(&name) {
                *self.counts.entry(name).or_default() += count;
            }
        }
        let stayed: Vec<_> = earlier.seen.into_iter().filter(|(user, _)| !self.gone.contains(user)).collect();
        let left: Vec<_> = earlier.gone.into_iter().filter(|user| !self.seen.contains_key(user)).collect();
        for (user, at) in stayed.into_iter().take(MAX_PENDING.saturating_sub(self.seen.len())) {
            self.seen.entry(user).or_insert(at);
        }
        self.gone.extend(left.into_iter().take(MAX_PENDING.saturating_sub(self.gone.len())));
    }
}

impl Counters {
    /// Counters in `redis`, with days in `zone`. When they are not enabled, nothing is counted.
    #[must_use]
    pub fn new(redis: Redis, clock: Clock, zone: Tz, is_enabled: bool) -> Self {
        Self { shared: Arc::new(Shared { pending: Mutex::default(), redis, zone, is_enabled }), clock }
    }

    /// The same counters by another clock.
    #[must_use]
    pub fn with_clock(&self, clock: Clock) -> Self {
        Self { shared: self.shared.clone(), clock }
    }

    /// Adds one to the counter called `name`.
    pub fn increment(&self, name: impl AsRef<str> + Into<String>) {
        self.add(|pending| {
            if let Some(count) = pending.counts.get_mut(name.as_ref()) {
                *count += 1;
            } else if pending.counts.len() < MAX_PENDING {
                pending.counts.insert(name.into(), 1);
            }
        });
    }

    /// Counts an event, in total and for today.
    pub fn record(&self, event: Event) {
        metrics::record_event(event.name());
        let (total, today) = self.names(event);
        self.increment(total);
        if let Some(today) = today {
            self.increment(today);
        }
    }

    /// Marks a user as active now.
    pub fn mark_active(&self, user_id: i64) {
        let now = self.clock.now().timestamp();
        self.add(|pending| {
            pending.seen.insert(user_id, now);
            pending.gone.retain(|gone| *gone != user_id);
        });
    }

    /// Removes a user from the active ones.
    pub fn mark_inactive(&self, user_id: i64) {
        self.add(|pending| {
            pending.seen.remove(&user_id);
            pending.gone.push(user_id);
        });
    }

    fn add(&self, change: impl FnOnce(&mut Pending)) {
        if !self.shared.is_enabled {
            return;
        }
        let mut pending = self.shared.pending.lock();
        change(&mut pending);
        if !std::mem::replace(&mut pending.is_flush_scheduled, true) {
            let counters = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(FLUSH_INTERVAL).await;
                counters.flush().await;
            });
        }
    }

    /// Writes all pending counts. If Redis does not answer, they are written with the next ones, and count twice if it
    /// had received them after all.
    pub async fn flush(&self) {
        let pending = std::mem::take(&mut *self.shared.pending.lock());
        drop(self.write_and_query::<()>(pending, |_| {}).await);
    }

    /// The counters with these names, in order.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] without Redis.
    pub async fn read<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<i64>> {
        Ok(self.read_with_active_users(names).await?.0)
    }

    /// The counters with these names, in order, and the number of active users.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] without Redis.
    pub async fn read_with_active_users<S: AsRef<str>>(&self, names: &[S]) -> Result<(Vec<i64>, i64)> {
        let keys = self.shared.redis.keys();
        let since = (self.clock.now() - ACTIVE_FOR).timestamp();
        let counters: Vec<String> = names.iter().map(|name| keys.counter(name.as_ref())).collect();
        let query = |pipe: &mut Pipeline| {
            pipe.mget(counters).zcount(keys.active_users(), since, "+inf");
        };
        // Only the requested counts are written first; the caller need not wait for the others.
        let pending = self.shared.pending.lock().take(names);
        let (counts, active): (Vec<Option<i64>>, i64) = self.write_and_query(pending, query).await?;
        Ok((counts.into_iter().map(Option::unwrap_or_default).collect(), active))
    }

    /// Writes, and queries in the same round trip.
    async fn write_and_query<T: FromRedisValue>(
        &self,
        pending: Pending,
        query: impl FnOnce(&mut Pipeline),
    ) -> RedisResult<T> {
        let redis = &self.shared.redis;
        let mut pipe = pending.write_commands(redis.keys());
        query(&mut pipe);
        let answer = redis.query(async |mut redis| pipe.query_async(&mut redis).await).await;
        if let Err(error) = &answer {
            tracing::debug!(%error, counts = pending.counts.len(), "counts wait for Redis");
            self.shared.pending.lock().put_back(pending);
        }
        answer
    }

    /// The names of an event's counters: the total and, if there is one, today's.
    #[must_use]
    pub fn names(&self, event: Event) -> (&'static str, Option<String>) {
        let (total, daily) = event.names();
        let today = || self.clock.now().with_timezone(&self.shared.zone).format("%Y-%m-%d");
        (total, daily.map(|daily| format!("{daily}:{}", today())))
    }
}
