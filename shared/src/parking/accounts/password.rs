//! Password hashes: Argon2id, on the threads of `hashing.rs`.

use anyhow::anyhow;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

use super::hashing;
pub use super::hashing::Priority;
use crate::base::error::Result;

/// Checked when the user does not exist, so that the answer takes as long as for one who does.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$5Xjhr5uKsMdaWHSZT1COmJf6lJ7fY3mKLgzXZ3Jp1yc";

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

/// The hash to store, of the normalized password with a random salt.
///
/// # Errors
/// [`Error::Overloaded`](crate::Error::Overloaded) if too many are waiting.
pub async fn hash(priority: Priority, password: String) -> Result<String> {
    let work = move || {
        let salt: [u8; 16] = rand::random();
        let hash: argon2::PasswordHash = Argon2::default()
            .hash_password_with_salt(spelling::password(&password).as_bytes(), &salt)
            .map_err(|error| anyhow!("hashing a password: {error}"))?;
        Ok(hash.to_string())
    };
    hashing::run(priority, work).await
}

/// Whether the password matches the hash; without a hash, [`Match::No`] after the usual time.
///
/// # Errors
/// [`Error::Overloaded`](crate::Error::Overloaded) if too many are waiting.
pub async fn verify(priority: Priority, password: String, hash: Option<String>) -> Result<Match> {
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
    hashing::run(priority, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let stored = hash(Priority::Other, "correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        let compare =
            async |password: &str, hash| verify(Priority::Login, password.into(), hash).await.unwrap();
        assert_eq!(compare("correct horse", Some(stored.clone())).await, Match::Yes);
        assert_eq!(compare("wrong horse", Some(stored.clone())).await, Match::No);
        assert_eq!(compare("correct horse", None).await, Match::No);
        assert_ne!(
            hash(Priority::Other, "correct horse".into()).await.unwrap(),
            stored,
            "each has its own salt"
        );
    }

    #[tokio::test]
    async fn a_password_matches_in_every_encoding() {
        const COMPOSED: &str = "Pässwörter1";
        const DECOMPOSED: &str = "Pa\u{308}sswo\u{308}rter1";
        for (set, typed) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("two words", "two\u{a0}words")]
        {
            let stored = hash(Priority::Other, set.into()).await.unwrap();
            assert_eq!(
                verify(Priority::Login, typed.into(), Some(stored)).await.unwrap(),
                Match::Yes,
                "{set}"
            );
        }
        // As earlier releases hashed it.
        let raw =
            Argon2::default().hash_password_with_salt(DECOMPOSED.as_bytes(), b"sixteen bytes ok").unwrap();
        assert_eq!(
            verify(Priority::Login, DECOMPOSED.into(), Some(raw.to_string())).await.unwrap(),
            Match::AsTyped
        );
        assert_eq!(verify(Priority::Login, COMPOSED.into(), Some(raw.to_string())).await.unwrap(), Match::No);
    }
}
