//! Everything the application works with, built once by each binary.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::ExposeSecret;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    base::{
        clock::Clock,
        error::{Error, Result},
    },
    platform::{
        cache::{self, Cache, Group},
        config::{Config, GOOGLE_CHAT_HOST},
        counters::{self, Counters},
        db::Db,
        http,
        mailer::Mailer,
        rate_limit::Limits,
        redis::Redis,
        templates::Templates,
    },
};

/// What goes on in the background may take so long at the end of the process.
const FAREWELL: Duration = Duration::from_secs(10);

/// A database that is started later than this process is waited for. After that, whoever looks after the process should
/// see it end.
const STARTING_TOGETHER: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// The application. Cheap to clone, and it must be: around every request the router clones it some dozens of times.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// What it is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What the operator said.
    pub config: Arc<Config>,
    /// The database.
    pub db: Db,
    /// Redis.
    pub redis: Redis,
    /// Answers that are made again only when something has changed.
    pub cache: Cache,
    /// Counts that are still to be written.
    pub counters: Counters,
    /// Who may call how often.
    pub limits: Limits,
    /// Where mails go.
    pub mailer: Mailer,
    /// Which server a webhook of a chat may be at.
    pub chat_rules: http::Rules,
    /// How mails look.
    pub templates: Templates,
    /// What goes on beside the requests and has to end before the process does.
    pub tasks: TaskTracker,
    /// Cancelled when the process is about to stop: it asks for no more requests.
    pub draining: CancellationToken,
    /// What time it is.
    pub clock: Clock,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// A change is seen by this clone only, so it is for those who set an application up.
impl DerefMut for App {
    fn deref_mut(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.0)
    }
}

impl App {
    /// Connects to everything and brings the schema up to date. Redis may be away.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated, or a template is broken.
    pub async fn start(config: Config) -> Result<Self> {
        let app = Self::connect(config).await?;
        app.db.migrate().await?;
        Ok(app)
    }

    /// As [`App::start`], but a database that is away is tried again for a minute: servers are started in any order.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_together(config: Config) -> Result<Self> {
        let begun = Instant::now();
        loop {
            match Self::start(config.clone()).await {
                Err(error @ Error::Unavailable(_)) if begun.elapsed() < STARTING_TOGETHER => {
                    tracing::warn!(error = error.chain(), "the database is not there yet; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Waits for what goes on in the background, for as long as that is reasonable, and closes the database.
    pub async fn finish(self) {
        self.tasks.close();
        if tokio::time::timeout(FAREWELL, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "left behind");
        }
        counters::flush(&self).await;
        self.db.clone().close().await;
    }

    /// Connects to everything and leaves the schema as it is.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn connect(config: Config) -> Result<Self> {
        let app = Self(Arc::new(Parts {
            db: Db::connect(config.database_url.expose_secret(), config.database_connections).await?,
            redis: Redis::new(&config).await?,
            cache: Cache::default(),
            counters: Counters::default(),
            limits: Limits::default(),
            mailer: Mailer::from_config(&config.mail)?,
            chat_rules: http::Rules::public(GOOGLE_CHAT_HOST),
            templates: Templates::new()?,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            clock: Clock::System,
            config: Arc::new(config),
        }));
        tokio::spawn(forget_what_may_be_stale(app.clone()));
        Ok(app)
    }
}

/// A commit that was not answered because the database went away may have happened, and nobody has told the cache.
async fn forget_what_may_be_stale(app: App) {
    let mut db = app.db.clone();
    while db.returned().await {
        cache::changed(&app, &[Group::Everything]).await;
    }
}
