//! How each fault is injected.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use devstack::{Behaviour, Mode, Process};
use sea_orm::ConnectionTrait;
use shared::platform::db::{at, sql};

use super::{
    cluster::{Cluster, Stop},
    journal::micros,
    plan::{Fault, Scheduled},
    worker::{Poison, TICKS},
};

/// After SIGTERM, jobs may finish for 18 s and their results must be recorded within another 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

impl Cluster {
    /// Injects the faults one after the other.
    pub async fn inject(self: &Arc<Self>, faults: &[Scheduled], started: Instant) -> Result<()> {
        for (at, fault) in faults {
            tokio::time::sleep(at.saturating_sub(started.elapsed())).await;
            self.inject_one(*fault).await.with_context(|| format!("{fault:?}"))?;
        }
        Ok(())
    }

    async fn inject_one(self: &Arc<Self>, fault: Fault) -> Result<()> {
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
            Fault::PoisonJob => {
                let id = self.enqueue(&Poison {}).await?;
                self.notes().poison.push(id);
                Ok(())
            }
            Fault::KillRedis(away) => self.kill_redis(away).await,
            Fault::FlushRedis => {
                self.notes().flushes += 1;
                self.redis.lock().await.flush_all().await
            }
            Fault::CutRedis(time) => self.disturb_redis(Mode::Cut, time).await,
            Fault::BlackHoleRedis(time) => self.disturb_redis(Mode::BlackHole, time).await,
            Fault::DelayRedis(time) => {
                self.disturb_redis(Mode::Delay(Duration::from_millis(100)), time).await
            }
            Fault::TemporaryMailErrors(time) => {
                self.sink.set(Behaviour::Temporary);
                tokio::time::sleep(time).await;
                self.sink.set(Behaviour::Accept);
                Ok(())
            }
            Fault::PermanentMailErrors => self.script_mails(&[Behaviour::Permanent; 2]),
            Fault::DropMails => self.script_mails(&[Behaviour::Drop; 3]),
            Fault::AcceptAndDropMails => self.script_mails(&[Behaviour::AcceptThenDrop; 3]),
            Fault::HangMail => self.script_mails(&[Behaviour::Hang]),
            Fault::CutMail(time) => {
                self.mail.set(Mode::Cut).await?;
                tokio::time::sleep(time).await;
                self.mail.set(Mode::Pass).await
            }
        }
    }

    fn script_mails(&self, script: &[Behaviour]) -> Result<()> {
        self.sink.script(script.to_vec());
        Ok(())
    }

    /// Stops a worker as an operator would.
    pub async fn stop(self: Arc<Self>, worker: Process) {
        let (at, started) = (micros(), Instant::now());
        let ended = match worker.terminate() {
            Ok(()) => worker.wait(STOP_TIMEOUT).await,
            Err(error) => Err(error),
        };
        let seconds = matches!(ended, Ok(Some(0))).then(|| started.elapsed().as_secs_f64());
        if seconds.is_none() {
            let log = worker.log();
            let end = log.lines().rev().take(3).collect::<Vec<_>>().join("\n");
            eprintln!("stopping worker {}: {ended:?}\n{end}", worker.pid());
        }
        self.notes().stops.push(Stop { at, pid: worker.pid(), seconds });
    }

    fn freeze(self: &Arc<Self>, time: Duration) -> Result<()> {
        self.start_worker()?;
        let Some(worker) = self.take_worker(None) else { return Ok(()) };
        worker.pause()?;
        self.notes().freezes += 1;
        let cluster = self.clone();
        self.background.spawn(async move {
            tokio::time::sleep(time).await;
            if worker.resume().is_ok() {
                // Time to find out that its leases are lost.
                tokio::time::sleep(Duration::from_secs(4)).await;
                cluster.stop(worker).await;
            }
        });
        Ok(())
    }

    /// First the API loses Redis, so that it commits jobs without announcing them; then it is killed.
    async fn kill_api(&self) -> Result<()> {
        let since = micros();
        self.api_redis.set(Mode::BlackHole).await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let api = self.api.lock().take();
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

    async fn disturb_redis(&self, mode: Mode, time: Duration) -> Result<()> {
        let since = micros();
        self.worker_redis.set(mode).await?;
        tokio::time::sleep(time).await;
        if mode == Mode::BlackHole {
            // What was swallowed never arrives, so these connections must break.
            self.worker_redis.set(Mode::Cut).await?;
        }
        self.worker_redis.set(Mode::Pass).await?;
        self.notes().outages.push((since, micros()));
        Ok(())
    }

    /// Ends all faults and the schedule, which would enqueue jobs forever.
    pub async fn heal(&self) -> Result<()> {
        self.sink.script(Vec::new());
        self.sink.set(Behaviour::Accept);
        for proxy in [&self.mail, &self.worker_redis, &self.api_redis] {
            proxy.set(Mode::Pass).await?;
        }
        let (db, now) = (self.app.db.write(), at(self.app.clock.now()));
        let text = "UPDATE schedules SET paused_at = $1 WHERE name = $2";
        db.execute_raw(sql(db, text, [now, TICKS.into()])).await?;
        Ok(())
    }
}
