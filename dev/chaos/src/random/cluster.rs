//! The servers and processes of a run: Redis and the mail server behind proxies, one API and several workers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bench::testbed::{binary, listening};
use devstack::{App as Binaries, ChaosProxy, MailSink, Postgres, Process, Redis};
use parking_lot::{Mutex, MutexGuard};
use shared::{
    app::App,
    jobs::{Job, NewJob, ledger, queue},
    platform::{
        config::{Config, Sources},
        db::Engine,
        rate_limit::Action,
    },
};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const WORKERS: usize = 3;

/// A worker that was told to stop.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// When SIGTERM was sent.
    pub at: u64,
    pub pid: u32,
    /// How long the exit took; `None` if it failed.
    pub seconds: Option<f64>,
}

/// What was done to the processes, and how they reacted. Times are in microseconds since 1970.
#[derive(Debug, Default)]
pub struct Notes {
    /// Time and process of each killed worker.
    pub kills: Vec<(u64, u32)>,
    pub stops: Vec<Stop>,
    /// When the workers could not reach Redis: begin and end.
    pub outages: Vec<(u64, u64)>,
    /// When a killed Redis was back.
    pub returns: Vec<u64>,
    pub poison: Vec<Uuid>,
    /// Kills of the API: when it lost Redis, and when it was killed.
    pub api_kills: Vec<(u64, u64)>,
    /// Workers that exited without being stopped or killed.
    pub unexpected_exits: Vec<String>,
    /// Jobs that run until they are stopped.
    pub endless: Vec<Uuid>,
    /// Finished jobs that changed afterwards.
    pub changed: Vec<String>,
    pub freezes: u32,
    pub flushes: u32,
    pub redis_kills: u32,
}

/// The servers and processes of a run on one database.
pub struct Cluster {
    /// The library on the same database, without faults.
    pub app: App,
    pub sink: MailSink,
    /// Where the API listens.
    pub address: String,
    /// Where the workers write their journal.
    pub journal: PathBuf,
    notes: Mutex<Notes>,
    /// Whether Redis is killed.
    pub redis_is_away: AtomicBool,
    pub(super) redis: tokio::sync::Mutex<Redis>,
    pub(super) api_redis: ChaosProxy,
    pub(super) worker_redis: ChaosProxy,
    pub(super) mail: ChaosProxy,
    pub(super) api: Mutex<Option<Process>>,
    workers: Mutex<Vec<Process>>,
    started: AtomicU32,
    settings: Vec<(String, String)>,
    /// Faults that take a while.
    pub background: TaskTracker,
    folder: TempDir,
    _postgres: Option<Postgres>,
}

impl Cluster {
    pub async fn start(engine: Engine) -> Result<Arc<Self>> {
        let folder = TempDir::with_prefix("parkade-chaos-")?;
        let (postgres, url) = match engine {
            Engine::Sqlite => (None, format!("sqlite://{}/parkade.db?mode=rwc", folder.path().display())),
            Engine::Postgres => {
                // The machine itself does not crash.
                let server = Postgres::start_with(&["-c", "fsync=off"]).await?;
                let url = server.create_database("parkade").await?;
                (Some(server), url)
            }
        };
        let redis = Redis::start().await?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let sink = MailSink::start().await?;
        let mail = ChaosProxy::start(sink.addr()).await?;
        let settings = settings(url, redis.port(), mail.addr().port(), folder.path());
        let app = App::start(Config::load(Sources::of(settings.clone()))?).await?;
        let cluster = Arc::new(Self {
            app,
            sink,
            address: local(devstack::free_port()?).to_string(),
            journal: folder.path().join("journal"),
            notes: Mutex::default(),
            redis_is_away: AtomicBool::new(false),
            api_redis: ChaosProxy::start(local(redis.port())).await?,
            worker_redis: ChaosProxy::start(local(redis.port())).await?,
            redis: tokio::sync::Mutex::new(redis),
            mail,
            api: Mutex::default(),
            workers: Mutex::default(),
            started: AtomicU32::new(0),
            settings,
            background: TaskTracker::new(),
            folder,
            _postgres: postgres,
        });
        cluster.start_api().await?;
        (0..WORKERS).try_for_each(|_| cluster.start_worker())?;
        Ok(cluster)
    }

    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock()
    }

    fn spawn(&self, binary: &Path, arguments: &[&str], redis: &ChaosProxy) -> Result<Process> {
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| name != "REDIS_PORT");
        settings.push(("REDIS_PORT".into(), redis.addr().port().to_string()));
        settings.push(("HTTP_ADDR".into(), self.address.clone()));
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.path().join(format!("{}-{number}.log", arguments[0]));
        Binaries::spawn(binary, arguments, &settings, self.folder.path(), &log)
    }

    pub(super) async fn start_api(&self) -> Result<()> {
        let api = self.spawn(&binary("parkade-api")?, &["serve"], &self.api_redis)?;
        listening(&api, &self.address).await?;
        *self.api.lock() = Some(api);
        Ok(())
    }

    /// Starts another worker.
    pub fn start_worker(&self) -> Result<()> {
        let journal = self.journal.display().to_string();
        let worker = self.spawn(&std::env::current_exe()?, &["worker", &journal], &self.worker_redis)?;
        self.workers.lock().push(worker);
        Ok(())
    }

    /// Removes a worker from those that are supervised: the oldest one, or the one with this process id.
    pub fn take_worker(&self, pid: Option<u32>) -> Option<Process> {
        let mut workers = self.workers.lock();
        let index = match pid {
            Some(pid) => workers.iter().position(|worker| worker.pid() == pid)?,
            None => 0,
        };
        (index < workers.len()).then(|| workers.remove(index))
    }

    /// Replaces workers that have ended, for as long as it is polled. Poison ends them with a signal; an exit code means
    /// that a worker gave up.
    pub async fn supervise_workers(&self) -> Result<()> {
        loop {
            let ended: Vec<Process> =
                self.workers.lock().extract_if(.., |worker| worker.memory().is_err()).collect();
            for worker in ended {
                if let Some(code) = worker.wait(Duration::from_secs(1)).await? {
                    let log = worker.log();
                    let end = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                    self.notes().unexpected_exits.push(format!("a worker exited with {code}: {end}"));
                }
                self.start_worker()?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Enqueues a job, and announces it if Redis is there.
    pub async fn enqueue<J: Job>(&self, job: &J) -> Result<Uuid> {
        let (db, now) = (self.app.db.write(), self.app.clock.now());
        let enqueued = ledger::insert(db, now, &NewJob::of(job)?).await?;
        let redis = self.app.redis.clone();
        tokio::spawn(async move { queue::announce(&redis, &[enqueued]).await });
        Ok(enqueued.id)
    }

    /// Waits until a job has ended, or for this long. Jobs that never end are found later.
    pub async fn wait_for_end(&self, id: Uuid, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let row = ledger::find(&self.app.db, id).await?.context("the job is gone")?;
            if row.finished_at.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Keeps the logs and data, which are deleted otherwise, and returns their folder.
    pub fn keep(self: Arc<Self>) -> Option<PathBuf> {
        let cluster = Arc::into_inner(self)?;
        Some(cluster.folder.keep())
    }
}

/// The settings of every process.
fn settings(database: String, redis: u16, mail: u16, folder: &Path) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = [
        ("DATABASE_URL", database),
        ("DATABASE_CONNECTIONS", "8".into()),
        ("REDIS_PORT", redis.to_string()),
        ("JWT_SECRET_KEY", Uuid::new_v4().to_string()),
        ("UPLOAD_FOLDER", folder.join("files").display().to_string()),
        ("MAIL_SERVER", "127.0.0.1".into()),
        ("MAIL_PORT", mail.to_string()),
        ("MAIL_USE_TLS", "false".into()),
        ("MAIL_RATE_LIMIT", "10000000/60".into()),
        ("LOG_LEVEL", "info".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    settings.extend(Action::ALL.map(|(_, name)| (name.to_owned(), "10000000/60".to_owned())));
    settings
}
