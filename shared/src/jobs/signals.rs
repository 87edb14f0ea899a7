//! What a worker hears from Redis: "this queue has something new" and "stop that job". Hints only; a lost one costs
//! a second, until the heartbeat or the renewal of the lease finds out by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use redis::{AsyncCommands, aio::ConnectionManager};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Interruption, Interrupts, Queue};
use crate::{base::error::Result, platform::redis::Redis};

/// The ears of a worker process, shared by its queues and its running jobs.
#[derive(Debug, Clone)]
pub struct Signals {
    wakes: Arc<[watch::Sender<u64>; 3]>,
    running: Arc<Mutex<HashMap<Uuid, Interrupts>>>,
}

/// Further looks this much later: a push may land between an empty fetch and the reading of its reply.
const ECHOES: [Duration; 3] =
    [Duration::from_millis(3), Duration::from_millis(30), Duration::from_millis(200)];

const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

impl Default for Signals {
    fn default() -> Self {
        Self { wakes: Arc::new(std::array::from_fn(|_| watch::channel(0).0)), running: Arc::default() }
    }
}

impl Signals {
    /// An item whenever the queue may have something new.
    pub fn wakes(&self, queue: Queue) -> impl Stream<Item = ()> + Send + Unpin + use<> {
        let mut receiver = self.wakes[queue as usize].subscribe();
        receiver.mark_changed();
        stream::unfold((receiver, ECHOES.len()), |(mut receiver, echo)| async move {
            let heard = match ECHOES.get(echo) {
                Some(pause) => tokio::time::timeout(*pause, receiver.changed()).await,
                None => Ok(receiver.changed().await),
            };
            match heard {
                Ok(changed) => changed.ok().map(|()| ((), (receiver, 0))),
                Err(_) => Some(((), (receiver, echo + 1))),
            }
        })
        .boxed()
    }

    /// Makes a running job stoppable by id until the returned guard is dropped.
    #[must_use]
    pub fn register(&self, id: Uuid, interrupts: Interrupts) -> Registration<'_> {
        self.running().insert(id, interrupts.clone());
        Registration { signals: self, id, interrupts }
    }

    /// Interrupts every running job.
    pub fn interrupt_all(&self, why: Interruption) {
        self.running().values().for_each(|interrupts| interrupts.interrupt(why));
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Interrupts>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens until the future is dropped, and reconnects when the connection is lost.
    pub async fn listen(&self, redis: &Redis) {
        loop {
            let renewed = redis.queue.reconnected();
            tokio::select! {
                Err(error) = self.listen_once(redis) => tracing::warn!(
                    error = error.chain(),
                    "not hearing signals; jobs are found by sweeping meanwhile"
                ),
                () = renewed => {}
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
            redis.queue.wait_until_available().await;
        }
    }

    async fn listen_once(&self, redis: &Redis) -> Result<()> {
        let mut subscriber = redis.subscriber().await?;
        let cancel_channel = redis.keys().cancel_channel();
        subscriber.subscribe(&[redis.keys().wake_channel(), cancel_channel.clone()]).await?;
        Queue::ALL.into_iter().for_each(|queue| self.wake(queue));
        let mut messages = subscriber.on_message();
        while let Some(message) = messages.next().await {
            let text: String = message.get_payload()?;
            if message.get_channel_name() != cancel_channel {
                Queue::named(&text).into_iter().for_each(|queue| self.wake(queue));
            } else if let Some(interrupts) =
                text.parse().ok().and_then(|id: Uuid| self.running().get(&id).cloned())
            {
                interrupts.interrupt(Interruption::Cancelled);
            }
        }
        Err(crate::Error::Unavailable(anyhow::anyhow!("the subscription has ended")))
    }

    fn wake(&self, queue: Queue) {
        self.wakes[queue as usize].send_modify(|count| *count += 1);
    }
}

/// Tells the worker that runs the job to stop. Best effort: the flag in the ledger is seen at the next renewal.
pub async fn send_cancel(redis: &Redis, id: Uuid) {
    let channel = redis.keys().cancel_channel();
    let send = async |mut redis: ConnectionManager| redis.publish(channel, id.to_string()).await;
    let sent: redis::RedisResult<()> = redis.queue.query(send).await;
    if let Err(error) = sent {
        tracing::debug!(job.id = %id, %error, "cancellation not signalled");
    }
}

/// Takes a job off the list of stoppable ones when dropped.
#[derive(Debug)]
pub struct Registration<'a> {
    signals: &'a Signals,
    id: Uuid,
    interrupts: Interrupts,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut running = self.signals.running();
        // After a lost lease, this process may be running the same job again.
        if running.get(&self.id).is_some_and(|registered| registered.is(&self.interrupts)) {
            running.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_end_of_an_old_run_leaves_the_new_run_stoppable() {
        let (signals, id) = (Signals::default(), Uuid::new_v4());
        let (old, new) = (Interrupts::default(), Interrupts::default());
        let ended = signals.register(id, old.clone());
        let _running = signals.register(id, new.clone());
        drop(ended);
        signals.interrupt_all(Interruption::Shutdown);
        assert_eq!(new.interrupted().now_or_never(), Some(Interruption::Shutdown));
        assert_eq!(old.interrupted().now_or_never(), None);
    }
}
