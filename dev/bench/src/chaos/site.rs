//! Where a chaos run takes place: private servers behind proxies, the API and the workers as processes, and how each
//! fault is made.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use devstack::{App as Binaries, ChaosProxy, MailSink, Postgres, Process, Redis};
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

use crate::stage::{binary, listening};

const WORKERS: usize = 3;

/// When SIGTERM was sent, to which worker, and how many seconds it took; `None` when it did not end well.
pub type Stop = (u64, u32, Option<f64>);

/// What was done to the processes, and how they took it.
#[derive(Debug, Default)]
pub struct Notes {
    /// Workers killed: when, and which.
    pub kills: Vec<(u64, u32)>,
    /// Workers stopped.
    pub stops: Vec<Stop>,
    /// While Redis was away from the workers, or was just back.
    pub outages: Vec<(u64, u64)>,
    /// When a Redis that was killed was back.
    pub returns: Vec<u64>,
    /// Poison jobs that were asked for.
    pub poison: Vec<Uuid>,
    /// Kills of the API, with the time since when nothing could be announced.
    pub api_kills: Vec<(u64, u64)>,
    /// Workers that ended without being told to or being killed.
    pub deserters: Vec<String>,
    /// Jobs that run until they are stopped.
    pub lingering: Vec<Uuid>,
    /// Jobs whose end was not the end.
    pub changed: Vec<String>,
    /// How often each other thing was done.
    pub frozen: u32,
    /// Databases of Redis that were emptied.
    pub emptied: u32,
    /// Kills of Redis.
    pub redis_kills: u32,
}

/// The servers and processes of a run on one database.
pub struct Site {
    /// The library on that database, beside the chaos.
    pub app: App,
    /// Where mails go.
    pub sink: MailSink,
    /// Where the API listens.
    pub address: String,
    /// What workers write.
    pub journal: PathBuf,
    notes: Mutex<Notes>,
    /// Whether no process reaches Redis now.
    pub redis_is_away: AtomicBool,
    pub(super) redis: tokio::sync::Mutex<Redis>,
    pub(super) api_redis: ChaosProxy,
    pub(super) worker_redis: ChaosProxy,
    pub(super) mail: ChaosProxy,
    pub(super) api: Mutex<Option<Process>>,
    workers: Mutex<Vec<Process>>,
    started: AtomicU32,
    settings: Vec<(String, String)>,
    /// Stops and thaws under way.
    pub background: TaskTracker,
    folder: TempDir,
    _postgres: Option<Postgres>,
}

impl Site {
    /// Starts everything.
    pub async fn open(engine: Engine) -> Result<Arc<Self>> {
        let folder = TempDir::with_prefix("parkade-chaos-")?;
        let (postgres, url) = match engine {
            Engine::Sqlite => (None, format!("sqlite://{}/parkade.db?mode=rwc", folder.path().display())),
            Engine::Postgres => {
                // Nobody takes its disk away here.
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
        let site = Arc::new(Self {
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
        site.start_api().await?;
        (0..WORKERS).try_for_each(|_| site.start_worker())?;
        Ok(site)
    }

    /// What was done so far.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Process>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
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
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = Some(api);
        Ok(())
    }

    /// Starts one more worker.
    pub fn start_worker(&self) -> Result<()> {
        let journal = self.journal.display().to_string();
        let worker =
            self.spawn(&std::env::current_exe()?, &["chaos-worker", &journal], &self.worker_redis)?;
        self.workers().push(worker);
        Ok(())
    }

    /// Takes the worker that has been there for longest, or that with this id, out of those that are looked after.
    pub fn take_worker(&self, pid: Option<u32>) -> Option<Process> {
        let mut workers = self.workers();
        let index = match pid {
            Some(pid) => workers.iter().position(|worker| worker.pid() == pid)?,
            None => 0,
        };
        (index < workers.len()).then(|| workers.remove(index))
    }

    /// Starts workers for those that have ended by themselves, for as long as it is polled. Poison ends them by a
    /// signal; one that gives up has an exit code.
    pub async fn look_after_workers(&self) -> Result<()> {
        loop {
            let ended: Vec<Process> =
                self.workers().extract_if(.., |worker| worker.memory().is_err()).collect();
            for worker in ended {
                if let Some(code) = worker.wait(Duration::from_secs(1)).await? {
                    let log = worker.log();
                    let end = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                    self.notes().deserters.push(format!("a worker ended with {code}: {end}"));
                }
                self.start_worker()?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for a job and announces it, if that is possible.
    pub async fn ask<J: Job>(&self, job: &J) -> Result<Uuid> {
        let (db, now) = (self.app.db.write(), self.app.clock.now());
        let enqueued = ledger::insert(db, now, &NewJob::of(job)?).await?;
        let redis = self.app.redis.clone();
        tokio::spawn(async move { queue::announce(&redis, &[enqueued]).await });
        Ok(enqueued.id)
    }

    /// Waits for a job's end; a job that takes longer is somebody else's to judge.
    pub async fn is_over(&self, id: Uuid, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let row = ledger::find(&self.app.db, id).await?.context("the job")?;
            if row.finished_at.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The folder that is gone afterwards, kept for whoever wants to know more.
    pub fn keep(self: Arc<Self>) -> Option<PathBuf> {
        let site = Arc::into_inner(self)?;
        Some(site.folder.keep())
    }
}

/// What every process is told.
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
