//! Password hashes: Argon2id, off the async threads, and no more at once than there are cores.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, PoisonError, mpsc},
    thread::{self, available_parallelism},
};

use anyhow::{Context, anyhow};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::oneshot;

use crate::error::Result;

type Work = Box<dyn FnOnce() + Send>;

/// Each hash takes a core for some 20 ms, so a flood of logins waits here. It also takes 19 MiB, which the allocator
/// keeps for the thread that had them: on threads that are shared with other work a flood came to 500 MiB.
static THREADS: LazyLock<mpsc::Sender<Work>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<Work>();
    let receiver = Arc::new(Mutex::new(receiver));
    let next = move || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    for _ in 0..available_parallelism().map_or(2, usize::from) {
        let next = next.clone();
        thread::spawn(move || {
            while let Ok(work) = next() {
                // Whoever waits for it learns of a panic by not being answered.
                drop(catch_unwind(AssertUnwindSafe(work)));
            }
        });
    }
    sender
});

/// Compared with when there is no such user, so that the answer takes as long as for one there is.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$5Xjhr5uKsMdaWHSZT1COmJf6lJ7fY3mKLgzXZ3Jp1yc";

/// The hash to store, with a salt of its own.
///
/// # Errors
/// [`crate::Error::Internal`] when hashing fails.
pub async fn hash(password: String) -> Result<String> {
    in_turn(move || {
        let salt: [u8; 16] = rand::random();
        let hash: argon2::PasswordHash = Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map_err(|error| anyhow!("hashing a password: {error}"))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether the password is the one that was hashed; with no hash, `false` after the usual time.
///
/// # Errors
/// [`crate::Error::Internal`] when checking fails for another reason than a wrong password.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    in_turn(move || {
        let right =
            Argon2::default().verify_password(password.as_bytes(), hash.as_deref().unwrap_or(NOBODY)).is_ok();
        Ok(right && hash.is_some())
    })
    .await
}

/// What somebody waits for no longer is not begun.
async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let answering = move || {
        if !answer.is_closed() {
            drop(answer.send(work()));
        }
    };
    drop(THREADS.send(Box::new(answering))); // what is not taken is not answered
    answered.await.context("password hashing was interrupted")?
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
    async fn hashes_are_made_by_as_many_threads_as_there_are_cores_also_after_a_panic() {
        let panics = || -> Result<()> { panic!("on purpose") };
        assert!(in_turn(panics).await.is_err());
        let at_once = (0..64).map(|_| {
            in_turn(|| {
                thread::sleep(std::time::Duration::from_millis(2));
                Ok(thread::current().id())
            })
        });
        let threads = futures::future::try_join_all(at_once).await.unwrap();
        let threads: std::collections::HashSet<_> = threads.into_iter().collect();
        assert_eq!(threads.len(), available_parallelism().unwrap().get());
    }
}
