//! Who follows which jobs in this process: one subscription hears for all of them, and the ledger is asked about jobs of
//! which nothing was heard for a moment, so that no end is missed while Redis is away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::live::{Status, find_in_ledger, parse_message};
use crate::{
    app::App,
    base::error::{Error, Result},
    platform::redis::Redis,
};

/// The ledger is asked this often about the jobs of which nothing was heard for a moment. A running one is heard of every
/// second, so these are the ones that wait, and all of them while Redis is away.
const ASK_EVERY: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_millis(1_500);

const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// How much following there may be, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Followers in this process.
    pub everybody: usize,
    /// Followers of one user.
    pub of_a_user: usize,
    /// One goes on for so long at the most.
    pub longest: Duration,
    /// So often it is checked whether one still may, and the connection is used.
    pub check_every: Duration,
}

/// The followers of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Followers {
    /// How many there may be.
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
    /// The latest that was heard, for each follower to take when it is ready: a slow one misses what lies between.
    latest: watch::Sender<Option<Arc<Status>>>,
    heard: Instant,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            everybody: 4_096,
            of_a_user: 20,
            longest: Duration::from_hours(1),
            check_every: Duration::from_secs(15),
        }
    }
}

impl Followers {
    /// Nobody follows anything yet.
    #[must_use]
    pub fn new(app: App, bounds: Bounds) -> Self {
        Self { bounds, app, closed: CancellationToken::new(), known: Arc::default() }
    }

    /// Follows a job from now on. What it was before is for the caller to find out, afterwards.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when the user follows too many, [`Error::Unavailable`] when the process does.
    pub fn follow(&self, id: Uuid, user_id: i64) -> Result<Following> {
        let mut known = self.known();
        if known.users.values().sum::<usize>() >= self.bounds.everybody {
            return Err(Error::Unavailable(anyhow::anyhow!("too many follow jobs in this process")));
        }
        if known.users.get(&user_id).is_some_and(|count| *count >= self.bounds.of_a_user) {
            return Err(Error::RateLimited { retry_after: Duration::from_secs(10) });
        }
        *known.users.entry(user_id).or_default() += 1;
        let followed = known
            .jobs
            .entry(id)
            .or_insert_with(|| Followed { latest: watch::Sender::default(), heard: Instant::now() });
        let latest = followed.latest.subscribe();
        if !std::mem::replace(&mut known.is_listening, true) {
            let followers = self.clone();
            self.app.tasks.spawn(async move { followers.listen().await });
        }
        Ok(Following { followers: self.clone(), id, user_id, latest })
    }

    /// Ends all following, and lets nobody begin.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Waits for [`Followers::close`].
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Until nobody follows any more.
    async fn listen(&self) {
        tokio::select! {
            () = self.hear(&self.app.redis) => {}
            () = self.ask() => {}
            () = self.closed() => {}
        }
    }

    async fn hear(&self, redis: &Redis) {
        loop {
            let renewed = redis.queue.reconnected();
            tokio::select! {
                Err(error) = self.hear_once(redis) => {
                    tracing::warn!(error = error.chain(), "not hearing of jobs; asking the ledger meanwhile");
                }
                () = renewed => {}
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
            redis.queue.wait_until_available().await;
        }
    }

    async fn hear_once(&self, redis: &Redis) -> Result<()> {
        let mut subscriber = redis.subscriber().await?;
        subscriber.subscribe(redis.keys().status_channel()).await?;
        let mut messages = subscriber.on_message();
        while let Some(message) = messages.next().await {
            if let Some((id, status)) = parse_message(&message.get_payload::<String>()?) {
                self.tell(id, status);
            }
        }
        Err(Error::Unavailable(anyhow::anyhow!("the subscription has ended")))
    }

    async fn ask(&self) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let Some(silent) = self.silent() else { return };
            match find_in_ledger(&self.app.db, &silent).await {
                Ok(found) => found.into_iter().for_each(|(id, status)| self.tell(id, status)),
                Err(error) => {
                    tracing::warn!(error = error.chain(), "the ledger does not say where jobs stand")
                }
            }
        }
    }

    /// The jobs of which nothing was heard; `None` when nobody follows any.
    fn silent(&self) -> Option<Vec<Uuid>> {
        let mut known = self.known();
        known.is_listening = !known.jobs.is_empty();
        let silent = |followed: &Followed| followed.heard.elapsed() > SILENCE;
        let ids = known.jobs.iter().filter(|(_, followed)| silent(followed)).map(|(id, _)| *id).collect();
        known.is_listening.then_some(ids)
    }

    fn tell(&self, id: Uuid, status: Status) {
        let mut known = self.known();
        let Some(followed) = known.jobs.get_mut(&id) else { return };
        followed.heard = Instant::now();
        followed.latest.send_if_modified(|latest| {
            let is_news = status.state.is_final()
                || latest.as_ref().is_none_or(|latest| status.version() > latest.version());
            if is_news {
                *latest = Some(Arc::new(status));
            }
            is_news
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that follows a job, until it is dropped.
#[derive(Debug)]
pub struct Following {
    followers: Followers,
    id: Uuid,
    user_id: i64,
    latest: watch::Receiver<Option<Arc<Status>>>,
}

impl Following {
    /// Waits for news. Of several, the latest is the one that comes.
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
        let mut known = self.followers.known();
        if let Some(count) = known.users.get_mut(&self.user_id) {
            *count -= 1;
            if *count == 0 {
                known.users.remove(&self.user_id);
            }
        }
        // This one's receiver is still there.
        if known.jobs.get(&self.id).is_some_and(|followed| followed.latest.receiver_count() == 1) {
            known.jobs.remove(&self.id);
        }
    }
}
