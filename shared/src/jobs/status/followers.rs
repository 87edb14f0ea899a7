//! The event streams of this process. One Redis subscription serves all of them. Jobs without a recent message are polled
//! in the ledger, so that no end is missed while Redis is away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::live::{Status, find_in_ledger, parse_message};
use crate::{
    app::App,
    base::error::{Error, Result},
    platform::redis::{Notice, Redis},
};

/// How often the ledger is polled for jobs without a message for [`STALE_AFTER`]. Workers publish the status of a running
/// job every second, so these are the waiting jobs, and all jobs while Redis is away.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const STALE_AFTER: Duration = Duration::from_millis(1_500);

/// Limits of event streams.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Streams of this process.
    pub max_total: usize,
    /// Streams of one user.
    pub max_per_user: usize,
    /// Closes a stream after this time.
    pub max_duration: Duration,
    /// How often access is rechecked and a ping is sent.
    pub recheck_interval: Duration,
}

/// The event streams of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Followers {
    /// Their limits.
    pub bounds: Bounds,
    app: App,
    closed: CancellationToken,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    jobs: HashMap<Uuid, Followed>,
    users: HashMap<i64, usize>,
    is_listening: bool,
}

#[derive(Debug)]
struct Followed {
    /// The latest status. A slow follower skips the statuses in between.
    latest: watch::Sender<Option<Arc<Status>>>,
    updated_at: Instant,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_total: 4_096,
            max_per_user: 20,
            max_duration: Duration::from_hours(1),
            recheck_interval: Duration::from_secs(15),
        }
    }
}

impl Followers {
    /// No streams yet.
    #[must_use]
    pub fn new(app: App, bounds: Bounds) -> Self {
        Self { bounds, app, closed: CancellationToken::new(), known: Arc::default() }
    }

    /// Follows a job from now on. Load its present status afterwards, so that no change is missed in between.
    ///
    /// # Errors
    /// [`Error::RateLimited`] beyond the user's limit, [`Error::Unavailable`] beyond that of the process.
    pub fn follow(&self, id: Uuid, user_id: i64) -> Result<Following> {
        let place = self.enter(user_id)?;
        let mut known = self.known();
        let followed = known
            .jobs
            .entry(id)
            .or_insert_with(|| Followed { latest: watch::Sender::default(), updated_at: Instant::now() });
        let latest = followed.latest.subscribe();
        if !std::mem::replace(&mut known.is_listening, true) {
            let followers = self.clone();
            self.app.tasks.spawn(async move { followers.listen().await });
        }
        Ok(Following { place, id, latest })
    }

    /// Takes a place for a stream of anything, until it is dropped.
    ///
    /// # Errors
    /// As [`Followers::follow`].
    pub fn enter(&self, user_id: i64) -> Result<Place> {
        let mut known = self.known();
        if known.users.values().sum::<usize>() >= self.bounds.max_total {
            return Err(Error::Unavailable(anyhow::anyhow!("too many event streams in this process")));
        }
        if known.users.get(&user_id).is_some_and(|count| *count >= self.bounds.max_per_user) {
            return Err(Error::RateLimited { retry_after: Duration::from_secs(10) });
        }
        *known.users.entry(user_id).or_default() += 1;
        Ok(Place { followers: self.clone(), user_id })
    }

    /// Closes all streams and rejects new ones.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Waits for [`Followers::close`].
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Runs until the last stream ends.
    async fn listen(&self) {
        tokio::select! {
            () = self.receive(&self.app.redis) => {}
            () = self.poll_ledger() => {}
            () = self.closed() => {}
        }
    }

    async fn receive(&self, redis: &Redis) {
        let receive = |notice| match notice {
            Notice::Message(_, message) => {
                parse_message(&message).into_iter().for_each(|(id, status)| self.publish(id, status));
            }
            Notice::Lost(Some(error)) => {
                tracing::warn!(error = error.chain(), "status subscription lost; polling the ledger");
            }
            Notice::Subscribed | Notice::Lost(None) => {}
        };
        redis.queue.listen(&[redis.keys().status_channel()], receive).await;
    }

    async fn poll_ledger(&self) {
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let Some(stale) = self.stale_jobs() else { return };
            match find_in_ledger(&self.app.db, &stale).await {
                Ok(found) => found.into_iter().for_each(|(id, status)| self.publish(id, status)),
                Err(error) => tracing::warn!(error = error.chain(), "cannot read job status; retrying"),
            }
        }
    }

    /// The jobs without a recent message; `None` when no job is followed.
    fn stale_jobs(&self) -> Option<Vec<Uuid>> {
        let mut known = self.known();
        known.is_listening = !known.jobs.is_empty();
        let is_stale = |followed: &Followed| followed.updated_at.elapsed() > STALE_AFTER;
        let ids = known.jobs.iter().filter(|(_, followed)| is_stale(followed)).map(|(id, _)| *id).collect();
        known.is_listening.then_some(ids)
    }

    fn publish(&self, id: Uuid, status: Status) {
        let mut known = self.known();
        let Some(followed) = known.jobs.get_mut(&id) else { return };
        followed.updated_at = Instant::now();
        followed.latest.send_if_modified(|latest| {
            let is_newer = status.state.is_final()
                || latest.as_ref().is_none_or(|latest| status.version() > latest.version());
            if is_newer {
                *latest = Some(Arc::new(status));
            }
            is_newer
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the streams that a user may have at once.
#[derive(Debug)]
pub struct Place {
    followers: Followers,
    user_id: i64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = self.followers.known();
        if let Some(count) = known.users.get_mut(&self.user_id) {
            *count -= 1;
            if *count == 0 {
                known.users.remove(&self.user_id);
            }
        }
    }
}

/// One stream of the statuses of a job, until it is dropped.
#[derive(Debug)]
pub struct Following {
    place: Place,
    id: Uuid,
    latest: watch::Receiver<Option<Arc<Status>>>,
}

impl Following {
    /// Waits for a newer status and returns the latest.
    pub async fn changed(&mut self) -> Arc<Status> {
        loop {
            if self.latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(status) = self.latest.borrow_and_update().clone() {
                return status;
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut known = self.place.followers.known();
        // The receiver of this stream is still counted.
        if known.jobs.get(&self.id).is_some_and(|followed| followed.latest.receiver_count() == 1) {
            known.jobs.remove(&self.id);
        }
    }
}
