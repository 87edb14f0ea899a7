//! Password hashes: Argon2id, on as many threads as there are cores.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, mpsc},
    thread::{self, available_parallelism},
};

use anyhow::{Context, anyhow};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::base::error::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// Waiting passwords per thread, some 320 ms of work. More are rejected, so that they do not take the places of other
/// requests.
const QUEUE_PER_THREAD: usize = 16;

static HASHERS: LazyLock<Hashers> = LazyLock::new(Hashers::start);

/// A hash takes 20 ms of CPU time and 19 MiB. The threads are dedicated to hashing because the allocator keeps the memory
/// of each thread that has ever hashed: on the threads of the runtime, a flood of logins took 500 MiB.
struct Hashers(mpsc::SyncSender<Work>);

impl Hashers {
    fn start() -> Self {
        let (sender, receiver) = mpsc::sync_channel::<Work>(QUEUE_PER_THREAD * threads());
        let receiver = Arc::new(Mutex::new(receiver));
        let next = move || receiver.lock().recv();
        for _ in 0..threads() {
            let next = next.clone();
            thread::spawn(move || {
                while let Ok(work) = next() {
                    // The caller notices a panic because the sender of its answer is dropped.
                    drop(catch_unwind(AssertUnwindSafe(work)));
                }
            });
        }
        Self(sender)
    }

    /// Skips work whose caller has gone away.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            if !sender.is_closed() {
                drop(sender.send(work()));
            }
        };
        self.0.try_send(Box::new(work)).map_err(|_| Error::Overloaded)?;
        receiver.await.context("password hashing was interrupted")?
    }
}

/// Checked when the user does not exist, so that the answer takes as long as for one who does.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$5Xjhr5uKsMdaWHSZT1COmJf6lJ7fY3mKLgzXZ3Jp1yc";

/// How many passwords can be hashed or wait at the same time.
#[must_use]
pub fn capacity() -> usize {
    threads() * (QUEUE_PER_THREAD + 1)
}

fn threads() -> usize {
    available_parallelism().map_or(2, usize::from)
}

/// How a password compares with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It is another one.
    No,
    /// It is the same, in whatever encoding it was typed.
    Yes,
    /// It is the same as it was typed, hashed before passwords were normalized. Its hash should be replaced.
    AsTyped,
}

/// Runs work of some milliseconds.
///
/// # Errors
/// [`Error::Overloaded`] if too much is waiting.
pub(super) async fn on_hashing_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    HASHERS.run(work).await
}

/// The hash to store, of the normalized password with a random salt.
///
/// # Errors
/// [`Error::Overloaded`] if too many are waiting.
pub async fn hash(password: String) -> Result<String> {
    let work = move || {
        let salt: [u8; 16] = rand::random();
        let hash: argon2::PasswordHash = Argon2::default()
            .hash_password_with_salt(spelling::password(&password).as_bytes(), &salt)
            .map_err(|error| anyhow!("hashing a password: {error}"))?;
        Ok(hash.to_string())
    };
    HASHERS.run(work).await
}

/// Whether the password matches the hash; without a hash, [`Match::No`] after the usual time.
///
/// # Errors
/// [`Error::Overloaded`] if too many are waiting.
pub async fn verify(password: String, hash: Option<String>) -> Result<Match> {
    let work = move || {
        let expected = hash.as_deref().unwrap_or(DUMMY_HASH);
        let is_right = |text: &str| Argon2::default().verify_password(text.as_bytes(), expected).is_ok();
        let normalized = spelling::password(&password);
        let found = if is_right(&normalized) {
            Match::Yes
        } else if normalized != password && is_right(&password) {
            Match::AsTyped
        } else {
            Match::No
        };
        Ok(hash.as_ref().map_or(Match::No, |_| found))
    };
    HASHERS.run(work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let stored = hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        let compare = async |password: &str, hash| verify(password.into(), hash).await.unwrap();
        assert_eq!(compare("correct horse", Some(stored.clone())).await, Match::Yes);
        assert_eq!(compare("wrong horse", Some(stored.clone())).await, Match::No);
        assert_eq!(compare("correct horse", None).await, Match::No);
        assert_ne!(hash("correct horse".into()).await.unwrap(), stored, "each has its own salt");
    }

    #[tokio::test]
    async fn a_password_matches_in_every_encoding() {
        const COMPOSED: &str = "Pässwörter1";
        const DECOMPOSED: &str = "Pa\u{308}sswo\u{308}rter1";
        for (set, typed) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("two words", "two\u{a0}words")]
        {
            let stored = hash(set.into()).await.unwrap();
            assert_eq!(verify(typed.into(), Some(stored)).await.unwrap(), Match::Yes, "{set}");
        }
        // As earlier releases hashed it.
        let raw =
            Argon2::default().hash_password_with_salt(DECOMPOSED.as_bytes(), b"sixteen bytes ok").unwrap();
        assert_eq!(verify(DECOMPOSED.into(), Some(raw.to_string())).await.unwrap(), Match::AsTyped);
        assert_eq!(verify(COMPOSED.into(), Some(raw.to_string())).await.unwrap(), Match::No);
    }

    #[tokio::test]
    async fn a_thread_per_core_hashes_even_after_a_panic() {
        let hashers = Hashers::start();
        let panics = || -> Result<()> { panic!("on purpose") };
        assert!(hashers.run(panics).await.is_err());
        let at_once = (0..QUEUE_PER_THREAD).map(|_| {
            hashers.run(|| {
                thread::sleep(std::time::Duration::from_millis(5));
                Ok(thread::current().id())
            })
        });
        let threads = futures::future::try_join_all(at_once).await.unwrap();
        let threads: std::collections::HashSet<_> = threads.into_iter().collect();
        assert_eq!(threads.len(), available_parallelism().unwrap().get());
    }

    #[tokio::test]
    async fn passwords_beyond_the_queue_are_rejected_at_once() {
        let hashers = Hashers::start();
        let threads = available_parallelism().unwrap().get();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let at_once = (0..threads * (QUEUE_PER_THREAD + 2)).map(|_| {
            let wait = wait.clone();
            hashers.run(move || Ok(wait.lock().recv().is_ok()))
        });
        let mut at_once: futures::stream::FuturesUnordered<_> = at_once.collect();
        let first = futures::StreamExt::next(&mut at_once).await.unwrap();
        assert!(matches!(first, Err(Error::Overloaded)), "{first:?}");
        drop(go_on);
        let rest: Vec<_> = futures::StreamExt::collect(at_once).await;
        let done = rest.iter().filter(|done| done.is_ok()).count();
        assert!((threads * QUEUE_PER_THREAD..=threads * (QUEUE_PER_THREAD + 1)).contains(&done), "{done}");
    }
}
