//! Counters in Redis: added up in the process, and written off the path of the requests, a few times a second.
//! They may be lost with the process; nothing is decided by them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use redis::{FromRedisValue, Pipeline, RedisResult};

use crate::{app::App, base::error::Result, platform::metrics};

/// What happened, as far as it is counted in total and, some of it, by day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody logged in.
    Login,
    /// Somebody logged out.
    Logout,
    /// A driver opened an account.
    Registration,
    /// An administrator made an account.
    UserCreated,
    /// An account was deleted.
    UserDeleted,
    /// A lot was opened.
    LotCreated,
    /// A lot was archived.
    LotDeleted,
    /// A spot was booked or reserved.
    Reservation,
    /// A reservation was cancelled.
    Cancellation,
}

impl Event {
    /// All of them.
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

    /// As metrics name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().0.trim_start_matches("total_")
    }

    /// The total and, where there is one, the daily counter.
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
const DAYS: i64 = 40;

/// Who was seen within this time is active.
pub const ACTIVE_FOR: TimeDelta = TimeDelta::hours(12);

/// How long counts wait in the process.
const PAUSE: Duration = Duration::from_millis(200);

/// More names, and users, than come together in one pause: what does not fit is not counted.
const MOST: usize = 10_000;

/// Counts that are still to be written. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    counts: HashMap<String, i64>,
    /// Users, and when they were last seen, in seconds since 1970.
    seen: HashMap<i64, i64>,
    gone: Vec<i64>,
    is_scheduled: bool,
}

impl Counters {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// What waits under these names, and who came and went.
    fn take<S: AsRef<str>>(&mut self, names: &[S]) -> Self {
        let counts = names.iter().filter_map(|name| self.counts.remove_entry(name.as_ref())).collect();
        let (seen, gone) = (std::mem::take(&mut self.seen), std::mem::take(&mut self.gone));
        Self { counts, seen, gone, is_scheduled: false }
    }

    /// What writes it.
    fn writes(&self, app: &App) -> Pipeline {
        let (keys, mut pipe) = (app.redis.keys(), redis::pipe());
        for (name, count) in &self.counts {
            let key = keys.counter(name);
            pipe.incr(&key, count).ignore();
            if name.starts_with("daily_") {
                pipe.expire(&key, DAYS * 86_400).ignore();
            }
        }
        for (user, at) in &self.seen {
            pipe.zadd(keys.active_users(), user, at).ignore();
        }
        if !self.gone.is_empty() {
            pipe.zrem(keys.active_users(), &self.gone).ignore();
        }
        if !self.seen.is_empty() {
            let forgotten = (app.clock.now() - ACTIVE_FOR).timestamp();
            pipe.zrembyscore(keys.active_users(), "-inf", forgotten).ignore();
            pipe.expire(keys.active_users(), ACTIVE_FOR.num_seconds()).ignore();
        }
        pipe
    }

    /// Adds what could not be written, to be tried again with the next that is counted.
    fn take_back(&mut self, earlier: Self) {
        for (name, count) in earlier.counts {
            if self.counts.len() < MOST || self.counts.contains_key(&name) {
                *self.counts.entry(name).or_default() += count;
            }
        }
        let stayed: Vec<_> = earlier.seen.into_iter().filter(|(user, _)| !self.gone.contains(user)).collect();
        let left: Vec<_> = earlier.gone.into_iter().filter(|user| !self.seen.contains_key(user)).collect();
        for (user, at) in stayed.into_iter().take(MOST.saturating_sub(self.seen.len())) {
            self.seen.entry(user).or_insert(at);
        }
        self.gone.extend(left.into_iter().take(MOST.saturating_sub(self.gone.len())));
    }
}

/// Counts one more under this name.
pub fn count(app: &App, name: impl AsRef<str> + Into<String>) {
    add(app, |pending| {
        if let Some(count) = pending.counts.get_mut(name.as_ref()) {
            *count += 1;
        } else if pending.counts.len() < MOST {
            pending.counts.insert(name.into(), 1);
        }
    });
}

/// Counts that it happened, in total and today.
pub fn happened(app: &App, event: Event) {
    let (total, daily) = event.names();
    metrics::happened(event.name());
    count(app, total);
    if let Some(daily) = daily {
        count(app, format!("{daily}:{}", today(app)));
    }
}

/// The user is active.
pub fn seen(app: &App, user_id: i64) {
    let now = app.clock.now().timestamp();
    add(app, |pending| {
        pending.seen.insert(user_id, now);
        pending.gone.retain(|gone| *gone != user_id);
    });
}

/// The user is not active any more.
pub fn left(app: &App, user_id: i64) {
    add(app, |pending| {
        pending.seen.remove(&user_id);
        pending.gone.push(user_id);
    });
}

fn add(app: &App, change: impl FnOnce(&mut Pending)) {
    if !app.config.counters_enabled {
        return;
    }
    let mut pending = app.counters.pending();
    change(&mut pending);
    if !std::mem::replace(&mut pending.is_scheduled, true) {
        let app = app.clone();
        tokio::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            flush(&app).await;
        });
    }
}

/// Writes what has come together. If no answer comes, all of it is written with the next: should Redis have taken it after
/// all, it counts twice.
pub async fn flush(app: &App) {
    let pending = std::mem::take(&mut *app.counters.pending());
    drop(write_and::<()>(app, pending, |_| {}).await);
}

/// The counters of these names, in order.
///
/// # Errors
/// [`crate::Error::Unavailable`] without Redis.
pub async fn read<S: AsRef<str>>(app: &App, names: &[S]) -> Result<Vec<i64>> {
    Ok(read_with_active_users(app, names).await?.0)
}

/// The counters of these names, in order, and how many users were seen in the last 12 hours.
///
/// # Errors
/// [`crate::Error::Unavailable`] without Redis.
pub async fn read_with_active_users<S: AsRef<str>>(app: &App, names: &[S]) -> Result<(Vec<i64>, i64)> {
    let keys = app.redis.keys();
    let since = (app.clock.now() - ACTIVE_FOR).timestamp();
    let counters: Vec<String> = names.iter().map(|name| keys.counter(name.as_ref())).collect();
    let ask = |pipe: &mut Pipeline| {
        pipe.mget(counters).zcount(keys.active_users(), since, "+inf");
    };
    // Only what is asked for is written first; whoever asks need not wait for the rest.
    let pending = app.counters.pending().take(names);
    let (counts, active): (Vec<Option<i64>>, i64) = write_and(app, pending, ask).await?;
    Ok((counts.into_iter().map(Option::unwrap_or_default).collect(), active))
}

/// Writes, and asks for more in the same round trip.
async fn write_and<T: FromRedisValue>(
    app: &App,
    pending: Pending,
    ask: impl FnOnce(&mut Pipeline),
) -> RedisResult<T> {
    let mut pipe = pending.writes(app);
    ask(&mut pipe);
    let answer = app.redis.ask(async |mut redis| pipe.query_async(&mut redis).await).await;
    if let Err(error) = &answer {
        tracing::debug!(%error, counts = pending.counts.len(), "counts wait for Redis");
        app.counters.pending().take_back(pending);
    }
    answer
}

/// The total of an event and, where it has one, that of today.
#[must_use]
pub fn names(app: &App, event: Event) -> (String, Option<String>) {
    let (total, daily) = event.names();
    (total.to_owned(), daily.map(|daily| format!("{daily}:{}", today(app))))
}

fn today(app: &App) -> impl std::fmt::Display {
    app.clock.now().with_timezone(&app.config.zone).format("%Y-%m-%d")
}
