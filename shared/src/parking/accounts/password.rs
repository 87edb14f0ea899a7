//! Password hashes: Argon2id, off the async threads, and no more at once than there are cores.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError, mpsc},
    thread::{self, available_parallelism},
};

use anyhow::{Context, anyhow};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::oneshot;

use crate::base::error::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// For each thread so many may wait: 320 ms. More are refused, since they would only take the places of other requests.
const WAITING: usize = 16;

static HASHERS: LazyLock<Hashers> = LazyLock::new(Hashers::start);

/// Each hash takes a core for some 20 ms, so a flood of logins waits here. It also takes 19 MiB, which the allocator
/// keeps for the thread that had them: on threads that are shared with other work a flood came to 500 MiB.
struct Hashers(mpsc::SyncSender<Work>);

impl Hashers {
    fn start() -> Self {
        let (sender, receiver) = mpsc::sync_channel::<Work>(WAITING * threads());
        let receiver = Arc::new(Mutex::new(receiver));
        let next = move || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        for _ in 0..threads() {
            let next = next.clone();
            thread::spawn(move || {
                while let Ok(work) = next() {
                    // Whoever waits for it learns of a panic by not being answered.
                    drop(catch_unwind(AssertUnwindSafe(work)));
                }
            });
        }
        Self(sender)
    }

    /// What somebody waits for no longer is not begun.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let answering = move || {
            if !answer.is_closed() {
                drop(answer.send(work()));
            }
        };
        self.0.try_send(Box::new(answering)).map_err(|_| Error::Overloaded)?;
        answered.await.context("password hashing was interrupted")?
    }
}

/// Compared with when there is no such user, so that the answer takes as long as for one there is.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$5Xjhr5uKsMdaWHSZT1COmJf6lJ7fY3mKLgzXZ3Jp1yc";

/// How many can be hashed or wait for it at once.
#[must_use]
pub fn room() -> usize {
    threads() * (WAITING + 1)
}

fn threads() -> usize {
    available_parallelism().map_or(2, usize::from)
}

/// The hash to store, with a salt of its own.
///
/// # Errors
/// [`Error::Overloaded`] when too many wait already, [`Error::Internal`] when hashing fails.
pub async fn hash(password: String) -> Result<String> {
    let hashing = move || {
        let salt: [u8; 16] = rand::random();
        let hash: argon2::PasswordHash = Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map_err(|error| anyhow!("hashing a password: {error}"))?;
        Ok(hash.to_string())
    };
    HASHERS.run(hashing).await
}

/// Whether the password is the one that was hashed; with no hash, `false` after the usual time.
///
/// # Errors
/// [`Error::Overloaded`] when too many wait already, [`Error::Internal`] when checking fails for another reason than a
/// wrong password.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    let checking = move || {
        let right =
            Argon2::default().verify_password(password.as_bytes(), hash.as_deref().unwrap_or(NOBODY)).is_ok();
        Ok(right && hash.is_some())
    };
    HASHERS.run(checking).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let stored = hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!verify("wrong horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!verify("correct horse".into(), None).await.unwrap());
        assert_ne!(hash("correct horse".into()).await.unwrap(), stored, "each has its own salt");
    }

    #[tokio::test]
    async fn a_thread_per_core_hashes_even_after_a_panic() {
        let hashers = Hashers::start();
        let panics = || -> Result<()> { panic!("on purpose") };
        assert!(hashers.run(panics).await.is_err());
        let at_once = (0..WAITING).map(|_| {
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
        let at_once = (0..threads * (WAITING + 2)).map(|_| {
            let wait = wait.clone();
            hashers.run(move || Ok(wait.lock().unwrap().recv().is_ok()))
        });
        let mut at_once: futures::stream::FuturesUnordered<_> = at_once.collect();
        let first = futures::StreamExt::next(&mut at_once).await.unwrap();
        assert!(matches!(first, Err(Error::Overloaded)), "{first:?}");
        drop(go_on);
        let rest: Vec<_> = futures::StreamExt::collect(at_once).await;
        let done = rest.iter().filter(|done| done.is_ok()).count();
        assert!((threads * WAITING..=threads * (WAITING + 1)).contains(&done), "{done}");
    }
}
