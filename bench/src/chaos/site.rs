//! Where a chaos run takes place: private servers behind proxies, the API and the workers as processes, and how each
//! fault is made.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use devstack::{App as Binaries, Behaviour, ChaosProxy, MailSink, Mode, Postgres, Process, Redis};
use shared::{
    app::App,
    config::{Config, Sources},
    db::Engine,
    jobs::{Job, NewJob, ledger, queue},
    rate_limit::Action,
};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    kinds::{Poison, micros},
    plan::Fault,
};
use crate::stage::{binary, listening};

const WORKERS: usize = 3;
/// Work stopped by SIGTERM may finish for 18 s, and must be written down within 5.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// What was done to the processes, and how they took it.
#[derive(Debug, Default)]
pub struct Notes {
    /// Workers killed: when, and which.
    pub kills: Vec<(u64, u32)>,
    /// Workers stopped: when SIGTERM was sent, to which, and how many seconds it took; `None` when it did not end well.
    pub stops: Vec<(u64, u32, Option<f64>)>,
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
    redis: tokio::sync::Mutex<Redis>,
    api_redis: ChaosProxy,
    worker_redis: ChaosProxy,
    mail: ChaosProxy,
    api: Mutex<Option<Process>>,
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
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (postgres, url) = match engine {
            Engine::Sqlite => (None, format!("sqlite://{}?mode=rwc", path("parkade.db"))),
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
        let mut settings: Vec<(String, String)> = [
            ("DATABASE_URL", url),
            ("DATABASE_CONNECTIONS", "8".into()),
            ("REDIS_PORT", redis.port().to_string()),
            ("JWT_SECRET_KEY", Uuid::new_v4().to_string()),
            ("UPLOAD_FOLDER", path("files")),
            ("MAIL_SERVER", "127.0.0.1".into()),
            ("MAIL_PORT", mail.addr().port().to_string()),
            ("MAIL_USE_TLS", "false".into()),
            ("MAIL_RATE_LIMIT", "10000000/60".into()),
            ("LOG_LEVEL", "info".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        settings.extend(Action::ALL.map(|(_, name)| (name.to_owned(), "10000000/60".to_owned())));
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

    fn spawn(&self, binary: &std::path::Path, arguments: &[&str], redis: &ChaosProxy) -> Result<Process> {
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| name != "REDIS_PORT");
        settings.push(("REDIS_PORT".into(), redis.addr().port().to_string()));
        settings.push(("HTTP_ADDR".into(), self.address.clone()));
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.path().join(format!("{}-{number}.log", arguments[0]));
        Binaries::spawn(binary, arguments, &settings, self.folder.path(), &log)
    }

    async fn start_api(&self) -> Result<()> {
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

    /// Makes the faults happen, one after the other.
    pub async fn suffer(self: &Arc<Self>, faults: &[(Duration, Fault)], begun: Instant) -> Result<()> {
        for (at, fault) in faults {
            tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
            self.make(*fault).await.with_context(|| format!("{fault:?}"))?;
        }
        Ok(())
    }

    async fn make(self: &Arc<Self>, fault: Fault) -> Result<()> {
        match fault {
            Fault::KillWorker => {
                self.start_worker()?;
                let Some(worker) = self.take_worker(None) else { return Ok(()) };
                self.notes().kills.push((micros(), worker.pid()));
                worker.kill()
            }
            Fault::StopWorker => {
                self.start_worker()?;
                let Some(worker) = self.take_worker(None) else { return Ok(()) };
                self.background.spawn(self.clone().stop(worker));
                Ok(())
            }
            Fault::FreezeWorker(time) => self.freeze(time),
            Fault::KillApi => self.kill_api().await,
            Fault::Poison => {
                let id = self.ask(&Poison {}).await?;
                self.notes().poison.push(id);
                Ok(())
            }
            Fault::KillRedis(away) => self.kill_redis(away).await,
            Fault::EmptyRedis => {
                self.notes().emptied += 1;
                self.redis.lock().await.flush_all().await
            }
            Fault::CutRedis(time) => self.disturb(Mode::Cut, time).await,
            Fault::SwallowRedis(time) => self.disturb(Mode::BlackHole, time).await,
            Fault::SlowRedis(time) => self.disturb(Mode::Delay(Duration::from_millis(100)), time).await,
            Fault::MailLater(time) => {
                self.sink.set(Behaviour::Temporary);
                tokio::time::sleep(time).await;
                self.sink.set(Behaviour::Accept);
                Ok(())
            }
            Fault::MailNever => self.mails(&[Behaviour::Permanent; 2]),
            Fault::MailDropped => self.mails(&[Behaviour::Drop; 3]),
            Fault::MailTakenAndDropped => self.mails(&[Behaviour::AcceptThenDrop; 3]),
            Fault::MailHangs => self.mails(&[Behaviour::Hang]),
            Fault::CutMail(time) => {
                self.mail.set(Mode::Cut).await?;
                tokio::time::sleep(time).await;
                self.mail.set(Mode::Pass).await
            }
        }
    }

    fn mails(&self, script: &[Behaviour]) -> Result<()> {
        self.sink.script(script.to_vec());
        Ok(())
    }

    /// Stops a worker as an operator would, and notes how long it took.
    pub async fn stop(self: Arc<Self>, worker: Process) {
        let (asked, begun) = (micros(), Instant::now());
        let ended = match worker.terminate() {
            Ok(()) => worker.wait(STOP_LIMIT).await,
            Err(error) => Err(error),
        };
        if !matches!(ended, Ok(Some(0))) {
            let log = worker.log();
            let end = log.lines().rev().take(3).collect::<Vec<_>>().join("\n");
            eprintln!("a worker was told to stop: {ended:?}\n{end}");
        }
        let well = matches!(ended, Ok(Some(0))).then(|| begun.elapsed().as_secs_f64());
        self.notes().stops.push((asked, worker.pid(), well));
    }

    fn freeze(self: &Arc<Self>, time: Duration) -> Result<()> {
        self.start_worker()?;
        let Some(worker) = self.take_worker(None) else { return Ok(()) };
        worker.pause()?;
        self.notes().frozen += 1;
        let site = self.clone();
        self.background.spawn(async move {
            tokio::time::sleep(time).await;
            // It may have written half a line before; now it finds out what it has missed.
            if worker.resume().is_ok() {
                tokio::time::sleep(Duration::from_secs(4)).await;
                site.stop(worker).await;
            }
        });
        Ok(())
    }

    /// What is committed from now on is not announced, and then the API is dead.
    async fn kill_api(&self) -> Result<()> {
        let since = micros();
        self.api_redis.set(Mode::BlackHole).await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let api = self.api.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(api) = api {
            api.kill()?;
        }
        self.notes().api_kills.push((since, micros()));
        self.api_redis.set(Mode::Cut).await?;
        self.api_redis.set(Mode::Pass).await?;
        self.start_api().await
    }

    async fn kill_redis(&self, away: Duration) -> Result<()> {
        let (mut redis, since) = (self.redis.lock().await, micros());
        self.notes().redis_kills += 1;
        redis.kill().await?;
        self.redis_is_away.store(true, Ordering::SeqCst);
        tokio::time::sleep(away).await;
        self.redis_is_away.store(false, Ordering::SeqCst);
        redis.restart().await?;
        let mut notes = self.notes();
        notes.returns.push(micros());
        notes.outages.push((since, micros()));
        Ok(())
    }

    async fn disturb(&self, mode: Mode, time: Duration) -> Result<()> {
        let since = micros();
        self.worker_redis.set(mode).await?;
        tokio::time::sleep(time).await;
        if mode == Mode::BlackHole {
            // What was swallowed never comes, so such a connection must break.
            self.worker_redis.set(Mode::Cut).await?;
        }
        self.worker_redis.set(Mode::Pass).await?;
        self.notes().outages.push((since, micros()));
        Ok(())
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

    /// Everything goes well again.
    pub async fn calm_down(&self) -> Result<()> {
        self.sink.script(Vec::new());
        self.sink.set(Behaviour::Accept);
        for proxy in [&self.mail, &self.worker_redis, &self.api_redis] {
            proxy.set(Mode::Pass).await?;
        }
        Ok(())
    }

    /// The folder that is gone afterwards, kept for whoever wants to know more.
    pub fn keep(self: Arc<Self>) -> Option<PathBuf> {
        let site = Arc::into_inner(self)?;
        Some(site.folder.keep())
    }
}
