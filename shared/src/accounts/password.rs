//! Password hashes: Argon2id, off the async threads, and no more at once than there are cores.

use std::{
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use anyhow::{Context, anyhow};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::Result;

/// Each hash takes 19 MiB and a core for some 20 ms, so a flood of logins waits here.
static SLOTS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(2, usize::from))));

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

/// The slot goes with the work: a caller that hangs up leaves the work to its end, and the slot with it.
async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let slot = SLOTS.clone().acquire_owned().await.context("password hashing has been closed")?;
    let slotted = move || {
        let done = work();
        drop(slot);
        done
    };
    tokio::task::spawn_blocking(slotted).await.context("password hashing was interrupted")?
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
}
