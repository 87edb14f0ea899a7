//! Signals that workers receive through Redis: "this queue has new messages" and "stop this job". They only save time:
//! without them, the consumer's heartbeat or the renewal of the lease notices within a second.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use redis::{AsyncCommands, aio::ConnectionManager};
use tokio::sync::{SetOnce, watch};
use uuid::Uuid;

use crate::{
    jobs::outcome::Outcome,
    platform::{
        queue::Queue,
        redis::{Notice, Redis},
    },
};

/// After a signal, the queue is polled again after these pauses: a message may arrive between an empty fetch and the
/// reading of its reply.
const EXTRA_POLLS: [Duration; 3] =
    [Duration::from_millis(3), Duration::from_millis(30), Duration::from_millis(200)];

/// The signals of a worker process, shared by its queues and its running jobs.
#[derive(Debug, Clone)]
pub struct Signals {
    new_messages: Arc<[watch::Sender<()>; Queue::ALL.len()]>,
    running: Arc<Mutex<HashMap<Uuid, StopRequest>>>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            new_messages: Arc::new(std::array::from_fn(|_| watch::channel(()).0)),
            running: Arc::default(),
        }
    }
}

impl Signals {
    /// Yields whenever the queue should be polled.
    pub fn new_messages(&self, queue: Queue) -> impl Stream<Item = ()> + Send + Unpin + use<> {
        let mut receiver = self.new_messages[queue as usize].subscribe();
        receiver.mark_changed();
        stream::unfold((receiver, EXTRA_POLLS.len()), |(mut receiver, polls)| async move {
            let signal = match EXTRA_POLLS.get(polls) {
                Some(pause) => tokio::time::timeout(*pause, receiver.changed()).await,
                None => Ok(receiver.changed().await),
            };
            match signal {
                Ok(changed) => changed.ok().map(|()| ((), (receiver, 0))),
                Err(_) => Some(((), (receiver, polls + 1))),
            }
        })
        .boxed()
    }

    /// Lets the run of a job be stopped by its id until the returned guard is dropped.
    #[must_use]
    pub fn register(&self, id: Uuid) -> RunningJob<'_> {
        let stop = StopRequest::default();
        self.running.lock().insert(id, stop.clone());
        RunningJob { signals: self, id, stop }
    }

    /// Stops every running job with this outcome.
    pub fn stop_all(&self, outcome: &Outcome) {
        self.running.lock().values().for_each(|run| run.request(outcome.clone()));
    }

    /// Receives signals until the future is dropped.
    pub async fn listen(&self, redis: &Redis) {
        let channels = [redis.keys().wake_channel(), redis.keys().cancel_channel()];
        let receive = |notice| match notice {
            Notice::Subscribed => Queue::ALL.into_iter().for_each(|queue| self.poll(queue)),
            Notice::Message(channel, text) if channel == channels[0] => {
                Queue::named(&text).into_iter().for_each(|queue| self.poll(queue));
            }
            Notice::Message(_, id) => {
                let run = id.parse().ok().and_then(|id: Uuid| self.running.lock().get(&id).cloned());
                run.into_iter().for_each(|run| run.request(Outcome::Cancelled));
            }
            Notice::Lost(Some(error)) => tracing::warn!(
                error = error.chain(),
                "no signals from Redis; the relay finds new jobs meanwhile"
            ),
            Notice::Lost(None) => {}
        };
        redis.queue.listen(&channels, receive).await;
    }

    fn poll(&self, queue: Queue) {
        self.new_messages[queue as usize].send_replace(());
    }
}

/// Asks the worker that runs the job to stop it. Best effort: the flag in the ledger is read at the next renewal.
pub async fn send_cancel(redis: &Redis, id: Uuid) {
    let channel = redis.keys().cancel_channel();
    let send = async |mut redis: ConnectionManager| redis.publish(channel, id.to_string()).await;
    let sent: redis::RedisResult<()> = redis.queue.query(send).await;
    if let Err(error) = sent {
        tracing::debug!(job.id = %id, %error, "cancellation not signalled");
    }
}

/// A request to stop a run, with the outcome that the run then has. The first request counts.
#[derive(Debug, Clone, Default)]
struct StopRequest(Arc<SetOnce<Outcome>>);

impl StopRequest {
    fn request(&self, outcome: Outcome) {
        // An error means that another request came first.
        let _ = self.0.set(outcome);
    }
}

/// A running job that can be stopped until this is dropped.
#[derive(Debug)]
pub struct RunningJob<'a> {
    signals: &'a Signals,
    id: Uuid,
    stop: StopRequest,
}

impl RunningJob<'_> {
    /// Stops the run with this outcome, unless another request came first.
    pub fn stop(&self, outcome: Outcome) {
        self.stop.request(outcome);
    }

    /// Waits until the run is to stop, and returns the outcome that it then has.
    pub async fn stopped(&self) -> Outcome {
        self.stop.0.wait().await.clone()
    }
}

impl Drop for RunningJob<'_> {
    fn drop(&mut self) {
        let mut running = self.signals.running.lock();
        // After a lost lease, this process may be running the same job again.
        if running.get(&self.id).is_some_and(|run| Arc::ptr_eq(&run.0, &self.stop.0)) {
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
        let old = signals.register(id);
        let new = signals.register(id);
        drop(old);
        signals.stop_all(&Outcome::Released);
        assert_eq!(new.stopped().now_or_never(), Some(Outcome::Released));
    }

    #[test]
    fn the_first_request_to_stop_counts() {
        let signals = Signals::default();
        let run = signals.register(Uuid::new_v4());
        run.stop(Outcome::Cancelled);
        signals.stop_all(&Outcome::Released);
        assert_eq!(run.stopped().now_or_never(), Some(Outcome::Cancelled));
    }
}
