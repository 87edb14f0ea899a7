//! The application under test: real servers shared by a test binary, a database and a Redis prefix for each test.
//!
//! ```ignore
//! #[testkit::both_databases]
//! async fn a_new_lot_is_listed(t: TestApp) {
//!     let lot = t.lot(3).await;
//!     assert_eq!(t.get("/parking-lots", None).await.body["lots"][0]["id"], lot);
//! }
//! ```

#![expect(clippy::expect_used, reason = "this is test code")]

mod client;
mod constants;
mod events;
mod leaks;
mod processes;
mod servers;
mod sql;

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

pub use client::{Answer, Driver};
pub use constants::{JWT_SECRET, PASSWORD, for_migrations};
pub use events::{Event, Events};
use futures::FutureExt;
pub use processes::{Processes, binary};
pub use servers::{Engine, postgres, redis};
use shared::{
    app::{App, Parts},
    base::clock::Clock,
    operations::integrity,
    platform::{
        config::{Config, Sources},
        mailer::Mailer,
        rate_limit::Action,
    },
};
pub use sql::{change, execute, number};
use tempfile::TempDir;
pub use testkit_macros::both_databases;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{Worker, registry::Registry};

/// An application with its router on a free port, and mails in memory. Dropping it removes everything.
pub struct TestApp {
    /// The application behind the router, for direct access.
    pub app: App,
    /// The database that it runs on.
    pub engine: Engine,
    address: SocketAddr,
    http: reqwest::Client,
    settings: Vec<(String, String)>,
    folder: Arc<TempDir>,
    stop: CancellationToken,
}

impl TestApp {
    /// Starts on an empty, migrated database.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, &[]).await
    }

    /// Starts with some settings changed.
    pub async fn start_with(engine: Engine, changed: &[(&str, &str)]) -> Self {
        leaks::watch();
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let settings = settings(engine, &folder, changed).await;
        let config = Config::load(Sources::of(settings.clone())).expect("valid settings");
        let app = App::start(config).await.expect("the application starts");
        let app = app.with(|app| app.mailer = Mailer::memory());
        Self::serve(app, engine, settings, folder).await
    }

    /// Starts with a separate Redis, which the test may stop.
    pub async fn start_with_redis(engine: Engine) -> (Self, devstack::Redis) {
        let redis = devstack::Redis::start().await.expect("a separate Redis");
        let t = Self::start_with(engine, &[("REDIS_PORT", &redis.port().to_string())]).await;
        (t, redis)
    }

    async fn serve(app: App, engine: Engine, settings: Vec<(String, String)>, folder: Arc<TempDir>) -> Self {
        let router = api::router(app.clone());
        Self::serve_router(app, router, engine, settings, folder).await
    }

    async fn serve_router(
        app: App,
        router: api::Router,
        engine: Engine,
        settings: Vec<(String, String)>,
        folder: Arc<TempDir>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            api::serve_until(listener, router, std::future::pending()).await.expect("the API serves")
        });
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Self { app, engine, address, http, settings, folder, stop: CancellationToken::new() }
    }

    /// The same application with another clock: a second API process in this one.
    pub async fn at(&self, clock: Clock) -> Self {
        self.with(|app| app.clock = clock).await
    }

    /// The same application with some parts replaced.
    pub async fn with(&self, change: impl FnOnce(&mut Parts)) -> Self {
        Self::serve(self.app.with(change), self.engine, self.settings.clone(), self.folder.clone()).await
    }

    /// The same application behind a router from the test.
    pub async fn with_router(&self, router: api::Router) -> Self {
        let (settings, folder) = (self.settings.clone(), self.folder.clone());
        Self::serve_router(self.app.clone(), router, self.engine, settings, folder).await
    }

    /// A second API process on the same database, files and Redis that shares no memory with this one, with some
    /// settings changed. Clock and mails are the same.
    pub async fn second_process(&self, changed: &[(&str, &str)]) -> Self {
        let mut settings = self.settings.clone();
        override_settings(&mut settings, changed);
        let config = Config::load(Sources::of(settings.clone())).expect("valid settings");
        let app = App::start(config).await.expect("the application starts");
        let app = app.with(|app| {
            app.clock = self.app.clock.clone();
            app.mailer = self.app.mailer.clone();
        });
        Self::serve(app, self.engine, settings, self.folder.clone()).await
    }

    /// Runs a worker beside the API until the returned guard is dropped.
    pub fn work(&self) -> Working {
        self.work_with(Registry::default())
    }

    /// Like [`Self::work`], with a registry of the test's choice.
    pub fn work_with(&self, registry: Registry) -> Working {
        let stop = self.stop.child_token();
        let worker = Worker::new(self.app.clone(), registry);
        let stopped = stop.clone();
        let task = tokio::spawn(async move { worker.run(stopped).await });
        Working { stop, task }
    }

    /// The settings, for processes that share database, Redis and files with this application.
    #[must_use]
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The folder for the files of this test.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The mails sent so far.
    #[must_use]
    pub fn mails(&self) -> Vec<shared::platform::mailer::Mail> {
        match &self.app.mailer {
            Mailer::Memory(outbox) => outbox.lock().sent.clone(),
            _ => panic!("the mailer of tests is in memory"),
        }
    }

    /// Fails the test if the data violates a rule of `shared::operations::integrity`.
    pub async fn is_sound(&self) {
        let checks = integrity::check(&self.app).await.expect("the integrity check runs");
        let broken: Vec<_> = checks.iter().filter(|check| !check.offenders.is_empty()).collect();
        assert!(broken.is_empty(), "the data is not sound: {broken:#?}");
    }

    /// Waits until `done` returns true, and fails the test after 20 s.
    pub async fn eventually<F: Future<Output = bool>>(&self, what: &str, mut done: impl FnMut() -> F) {
        eventually(what, &mut done).await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if Arc::strong_count(&self.folder) == 1 {
            self.stop.cancel();
            if !std::thread::panicking() {
                leaks::check(self.folder());
            }
        }
    }
}

/// A worker that runs during a test.
pub struct Working {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Working {
    /// Stops the worker as SIGTERM would, and waits until it has ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.expect("the worker stops without an error");
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// Waits until `done` returns true, and fails the test after 20 s.
pub async fn eventually<F: Future<Output = bool>>(what: &str, done: impl FnMut() -> F) {
    within(Duration::from_secs(20), what, done).await;
}

/// Waits until `done` returns true, and fails the test after `limit`.
pub async fn within<F: Future<Output = bool>>(limit: Duration, what: &str, mut done: impl FnMut() -> F) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(limit, waiting).await.is_ok(), "not within {limit:?}: {what}");
}

/// Runs a test on both databases at the same time and prints which one failed.
pub async fn together(test: impl AsyncFn(Engine)) {
    let on = async |engine| {
        if let Err(panic) = AssertUnwindSafe(test(engine)).catch_unwind().await {
            eprintln!("failed on {engine:?}");
            resume_unwind(panic);
        }
    };
    tokio::join!(on(Engine::Sqlite), on(Engine::Postgres));
}

async fn settings(engine: Engine, folder: &TempDir, changed: &[(&str, &str)]) -> Vec<(String, String)> {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let prefix = format!("t{}", uuid::Uuid::new_v4().simple());
    let database = match engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", path("parkade.db")),
        Engine::Postgres => servers::fresh_database().await,
    };
    let mut settings = vec![
        ("APP_ENV".to_owned(), "testing".to_owned()),
        ("DATABASE_URL".to_owned(), database),
        ("DATABASE_CONNECTIONS".to_owned(), "8".to_owned()),
        ("REDIS_PORT".to_owned(), redis().await.port().to_string()),
        ("REDIS_PREFIX".to_owned(), prefix),
        ("JWT_SECRET_KEY".to_owned(), JWT_SECRET.to_owned()),
        ("UPLOAD_FOLDER".to_owned(), path("files")),
        ("MAIL_FOLDER".to_owned(), path("mails")),
        // A test reserves what it needs; the limits for drivers have tests of their own.
        ("MAX_OPEN_RESERVATIONS".to_owned(), "1000".to_owned()),
        ("MAX_OVERLAPPING_RESERVATIONS".to_owned(), "1000".to_owned()),
        ("MAX_DAYS_AHEAD".to_owned(), "365".to_owned()),
        ("MAX_NO_SHOWS".to_owned(), "1000".to_owned()),
        ("MAX_CONFIRMATIONS_PER_HOUR".to_owned(), "100000".to_owned()),
        // Tests send hundreds of requests at once and expect all of them to be answered.
        ("MAX_REQUESTS".to_owned(), "0".to_owned()),
        // The logs of processes are checked for leaks when the test ends.
        ("LOG_LEVEL".to_owned(), "trace".to_owned()),
        // The disk usage of the machine must not raise alerts.
        ("ALERT_DISK_PERCENT".to_owned(), "100".to_owned()),
    ];
    settings.extend(Action::ALL.map(|(_, name)| (name.to_owned(), "1000000/60".to_owned())));
    override_settings(&mut settings, changed);
    settings
}

fn override_settings(settings: &mut Vec<(String, String)>, changed: &[(&str, &str)]) {
    for (name, value) in changed {
        settings.retain(|(known, _)| known != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
}
