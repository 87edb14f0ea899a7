//! How each fault is made to happen.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use devstack::{Behaviour, Mode, Process};
use sea_orm::ConnectionTrait;
use shared::platform::db::{at, sql};

use super::{
    kinds::{Poison, TICKS, micros},
    plan::Fault,
    site::Site,
};

/// Work stopped by SIGTERM may finish for 18 s, and must be written down within 5.
const STOP_LIMIT: Duration = Duration::from_secs(40);

impl Site {
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

    /// Everything goes well again.
    pub async fn calm_down(&self) -> Result<()> {
        self.sink.script(Vec::new());
        self.sink.set(Behaviour::Accept);
        for proxy in [&self.mail, &self.worker_redis, &self.api_redis] {
            proxy.set(Mode::Pass).await?;
        }
        // Or there would always be one more job.
        let (db, now) = (self.app.db.write(), at(self.app.clock.now()));
        let text = "UPDATE schedules SET paused_at = $1 WHERE name = $2";
        db.execute_raw(sql(db, text, [now, TICKS.into()])).await?;
        Ok(())
    }
}
