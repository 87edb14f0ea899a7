//! Everything the application works with, built once by each binary.

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use secrecy::ExposeSecret;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    base::{
        batches::Batches,
        clock::Clock,
        error::{Error, Result},
    },
    platform::{
        cache::{Cache, Group},
        clock_check::{ClockGuard, WrongClock},
        config::{Config, GOOGLE_CHAT_HOST},
        counters::Counters,
        db::{self, Db},
        http, installation,
        keys::Keys,
        mailer::Mailer,
        queue::Queue,
        rate_limit::RateLimiter,
        redis::Redis,
        secrets,
        templates::Templates,
    },
};

/// How long the end of the process waits for background tasks.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a start waits for a database that is not up yet. After that, the process ends, so that its supervisor sees it.
const DATABASE_START_TIMEOUT: Duration = Duration::from_secs(60);
const DATABASE_START_INTERVAL: Duration = Duration::from_secs(1);

/// The application. Cheap to clone: the router clones it dozens of times for each request.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
#[derive(Debug, Clone)]
pub struct Parts {
    /// The settings.
    pub config: Arc<Config>,
    /// The database.
    pub db: Db,
    /// Redis.
    pub redis: Redis,
    /// Cached answers.
    pub cache: Cache,
    /// Usage counters.
    pub counters: Counters,
    /// Rate limits.
    pub limits: RateLimiter,
    /// Signs and verifies.
    pub keys: Keys,
    /// Jobs that are about to be announced to the workers.
    pub announcements: Batches<(Queue, Uuid)>,
    /// Sends mails.
    pub mailer: Mailer,
    /// Which server a chat's webhook may be at.
    pub chat_rules: http::Rules,
    /// The templates of mails.
    pub templates: Templates,
    /// Background tasks that have to end before the process does.
    pub tasks: TaskTracker,
    /// Cancelled when the process is about to stop and should get no more requests.
    pub draining: CancellationToken,
    /// The time.
    pub clock: Clock,
    /// Whether that can be trusted.
    pub clock_guard: ClockGuard,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Connects to everything and migrates the schema. Redis may be away.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated, its amounts are in another currency, or a template is malformed.
    pub async fn start(config: Config) -> Result<Self> {
        let app = Self::connect(config).await?;
        app.migrate().await?;
        Ok(app)
    }

    /// Brings the schema up to date, settles the currency of the amounts, and reads the secrets of the database.
    ///
    /// # Errors
    /// [`Error::Permanent`] if the amounts are in another currency than `CURRENCY`.
    pub async fn migrate(&self) -> Result<()> {
        self.db.migrate(self.config.for_migrations()).await?;
        installation::settle_currency(&self.db, self.config.currency).await?;
        secrets::load(&self.db, &self.config, &self.keys).await
    }

    /// As [`App::start`] for a process that serves: waits up to a minute for a database that is not up yet, since servers start
    /// in any order, and checks what it may do in Redis.
    ///
    /// # Errors
    /// As [`App::start`], and [`Error::Permanent`] if the Redis user lacks a permission.
    pub async fn start_together(config: Config) -> Result<Self> {
        let app = Self::start_when_reachable(config).await?;
        app.redis.check_access().await?;
        tokio::spawn(app.redis.clone().watch_access());
        Ok(app)
    }

    async fn start_when_reachable(config: Config) -> Result<Self> {
        let started = Instant::now();
        loop {
            match Self::start(config.clone()).await {
                Err(error @ Error::Unavailable(_))
                    if !error.is_misconfiguration() && started.elapsed() < DATABASE_START_TIMEOUT =>
                {
                    tracing::warn!(error = error.chain(), "the database is not available yet; retrying");
                    tokio::time::sleep(DATABASE_START_INTERVAL).await;
                }
                done => return done,
            }
        }
    }

    /// Connects to everything and leaves the schema as it is.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn connect(config: Config) -> Result<Self> {
        config.currency.install().map_err(Error::Permanent)?;
        let url = config.database_url.expose_secret();
        let connected = Db::connect(url, config.database_connections).await;
        let db = connected.map_err(|error| error.context(format!("DATABASE_URL, {}", db::target(url))))?;
        let (clock, redis) = (Clock::System, Redis::new(&config).await?);
        let counters = Counters::new(redis.clone(), clock.clone(), config.zone, config.counters_enabled);
        let app = Self(Arc::new(Parts {
            cache: Cache::new(redis.clone(), counters.clone(), clock.clone(), config.cache.is_enabled),
            limits: RateLimiter::new(redis.clone(), counters.clone(), config.rate_limits),
            keys: Keys::new(&config)?,
            announcements: Batches::default(),
            mailer: Mailer::from_config(&config.mail)?,
            chat_rules: http::Rules::public(GOOGLE_CHAT_HOST),
            templates: Templates::new()?,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            config: Arc::new(config),
            db,
            counters,
            redis,
            clock,
            clock_guard: ClockGuard::default(),
        }));
        tokio::spawn(invalidate_after_outages(app.db.clone(), app.cache.clone()));
        Ok(app)
    }

    /// The same application with some parts replaced, for tests. The other parts follow a new clock and new rate limits.
    #[must_use]
    pub fn with(&self, replace: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = Parts::clone(self);
        replace(&mut parts);
        parts.counters = parts.counters.with_clock(parts.clock.clone());
        parts.cache.clock = parts.clock.clone();
        parts.clock_guard = ClockGuard::default();
        parts.limits = parts.limits.with_budgets(parts.config.rate_limits);
        Self(Arc::new(parts))
    }

    /// The same application by another clock, for tests.
    #[must_use]
    pub fn with_clock(&self, clock: Clock) -> Self {
        self.with(|parts| parts.clock = clock)
    }

    /// By how much the clock is ahead if it is wrong. Then nothing may be done that depends on the time.
    pub async fn wrong_clock(&self) -> Option<TimeDelta> {
        self.clock_guard.check(&self.db, &self.redis, &self.clock).await
    }

    /// Fails if the clock is wrong.
    ///
    /// # Errors
    /// [`Error::Unavailable`], because somebody may set the clock.
    pub async fn require_right_clock(&self) -> Result<()> {
        match self.wrong_clock().await {
            Some(ahead) => Err(Error::Unavailable(anyhow::anyhow!("{}", WrongClock::Own(ahead)))),
            None => Ok(()),
        }
    }

    /// Waits for background tasks, writes what is pending and closes the database.
    pub async fn finish(self) {
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "background tasks did not finish in time");
        }
        self.counters.flush().await;
        self.db.close().await;
    }
}

/// A commit whose answer was lost with the database may have happened, without invalidating the cache.
async fn invalidate_after_outages(mut db: Db, cache: Cache) {
    while db.wait_for_recovery().await {
        cache.invalidate(&[Group::Everything]).await;
    }
}
