//! The threads that hash passwords, and what waits for them: logins first, and no more than is done soon.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    thread::{self, available_parallelism},
};

use anyhow::Context;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::base::error::{Error, Result};

/// What is done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Logins.
    Login,
    /// Everything else that hashes: registrations, new passwords, confirmations.
    Other,
}

impl Priority {
    /// How many may wait per thread. A hash takes some 20 ms, so a login waits for 1.3 s at most.
    const fn waiting(self) -> usize {
        match self {
            Self::Login => 64,
            Self::Other => 32,
        }
    }

    /// How many can be hashed or wait at the same time. More are rejected.
    #[must_use]
    pub fn capacity(self) -> usize {
        threads() * (self.waiting() + 1)
    }
}

/// One thread less than there are cores, so that a flood of passwords leaves one to everything else.
fn threads() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// The nice value of the threads: the rest of the process goes first where there is only one core, too.
const NICE: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

static HASHERS: LazyLock<Hashers> = LazyLock::new(|| Hashers::start(threads()));

/// Runs work of some milliseconds on a hashing thread, unless its caller has gone away meanwhile.
///
/// # Errors
/// [`Error::Overloaded`] if too much is waiting.
pub(super) async fn run<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    HASHERS.run(priority, work).await
}

/// A hash takes 20 ms of CPU time and 19 MiB. The threads are dedicated to hashing because the allocator keeps the memory
/// of each thread that has ever hashed: on the threads of the runtime, a flood of logins took 500 MiB.
struct Hashers {
    queues: Arc<Queues>,
    threads: usize,
}

#[derive(Default)]
struct Queues {
    waiting: Mutex<[VecDeque<Work>; 2]>,
    added: Condvar,
}

impl Queues {
    fn next(&self) -> Work {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(work) = waiting.iter_mut().find_map(VecDeque::pop_front) {
                return work;
            }
            self.added.wait(&mut waiting);
        }
    }

    fn add(&self, priority: Priority, limit: usize, work: Work) -> Result<()> {
        let mut waiting = self.waiting.lock();
        let queue = &mut waiting[priority as usize];
        if queue.len() >= limit {
            return Err(Error::Overloaded);
        }
        queue.push_back(work);
        self.added.notify_one();
        Ok(())
    }
}

impl Hashers {
    fn start(threads: usize) -> Self {
        let queues = Arc::new(Queues::default());
        for _ in 0..threads {
            let queues = queues.clone();
            thread::spawn(move || {
                if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                    tracing::debug!(%error, "passwords are hashed at normal priority");
                }
                loop {
                    // The caller notices a panic because the sender of its answer is dropped.
                    drop(catch_unwind(AssertUnwindSafe(queues.next())));
                }
            });
        }
        Self { queues, threads }
    }

    async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            if !sender.is_closed() {
                drop(sender.send(work()));
            }
        };
        self.queues.add(priority, self.threads * priority.waiting(), Box::new(work))?;
        receiver.await.context("password hashing was interrupted")?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::{StreamExt, stream::FuturesUnordered};

    use super::*;

    #[tokio::test]
    async fn a_thread_hashes_on_after_a_panic() {
        let hashers = Hashers::start(1);
        let panics = || -> Result<()> { panic!("on purpose") };
        assert!(hashers.run(Priority::Login, panics).await.is_err());
        assert_eq!(hashers.run(Priority::Other, || Ok(7)).await.unwrap(), 7);
    }

    /// Hashers of one thread that is busy until the sender is dropped.
    async fn busy() -> (Arc<Hashers>, mpsc::Sender<()>) {
        let hashers = Arc::new(Hashers::start(1));
        let (go_on, wait) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let blocking = hashers.clone();
        tokio::spawn(async move {
            let work = move || {
                begun.send(()).unwrap();
                Ok(wait.recv().is_ok())
            };
            blocking.run(Priority::Other, work).await
        });
        has_begun.await.unwrap();
        (hashers, go_on)
    }

    #[tokio::test]
    async fn work_beyond_its_own_queue_is_rejected_at_once() {
        let (hashers, go_on) = busy().await;
        for priority in [Priority::Other, Priority::Login] {
            let all = priority.waiting() + 3;
            let mut running: FuturesUnordered<_> =
                (0..all).map(|_| hashers.run(priority, || Ok(()))).collect();
            for _ in 0..3 {
                assert!(matches!(running.next().await.unwrap(), Err(Error::Overloaded)));
            }
        }
        drop(go_on);
    }

    #[tokio::test]
    async fn logins_go_first() {
        let (hashers, go_on) = busy().await;
        let (done, order) = mpsc::channel();
        let work = |name: &'static str| {
            let done = done.clone();
            move || {
                done.send(name).unwrap();
                Ok(())
            }
        };
        let others = (0..3).map(|_| hashers.run(Priority::Other, work("other")));
        let all: FuturesUnordered<_> = others.chain([hashers.run(Priority::Login, work("login"))]).collect();
        let all = all.collect::<Vec<_>>();
        let release = async { drop(go_on) };
        let (all, ()) = tokio::join!(all, release);
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["login", "other", "other", "other"]);
    }
}
