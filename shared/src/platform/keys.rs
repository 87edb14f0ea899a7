//! Keys: those that sign login tokens, and those of every other purpose, each derived from a secret by HKDF (RFC 5869).

use std::sync::{Arc, OnceLock};

use anyhow::Context;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::{base::error::Result, platform::config::Config};

/// Names what a key is for. Another purpose gives another key.
pub type Purpose = &'static [u8];

/// The keys of an installation. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    tokens: Arc<[TokenKey]>,
    settings: Arc<[SecretString]>,
    stored: Arc<OnceLock<Stored>>,
}

/// A key of `JWT_SECRET_KEY`.
#[derive(Clone)]
pub struct TokenKey {
    /// Names the key in the header of a token (`kid`) and reveals nothing about it.
    pub id: String,
    /// Signs.
    pub encoding: EncodingKey,
    /// Verifies.
    pub decoding: DecodingKey,
    secret: SecretString,
}

/// What the database keeps.
#[derive(Debug)]
pub(super) struct Stored {
    /// The secret that stands in for `APP_SECRET`.
    pub(super) secret: Option<SecretString>,
    /// Keys of the links that earlier releases have mailed.
    pub(super) earlier_links: Vec<Key>,
}

/// A key for one purpose.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Keys {
    /// The keys of the settings.
    ///
    /// # Errors
    /// [`crate::Error::Internal`], never in practice.
    pub fn new(config: &Config) -> Result<Self> {
        let tokens: Result<Vec<_>> = config.jwt_keys.iter().map(TokenKey::new).collect();
        let settings = config.app_secrets.clone().into();
        Ok(Self { tokens: tokens?.into(), settings, stored: Arc::default() })
    }

    /// Adds what the database keeps, once.
    pub(super) fn add(&self, stored: Stored) {
        // Another start of the same application has read the same rows.
        drop(self.stored.set(stored));
    }

    /// The keys of login tokens; the first one signs.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] without `JWT_SECRET_KEY`, which commands with logins check first.
    pub fn tokens(&self) -> Result<&[TokenKey]> {
        if self.tokens.is_empty() {
            return Err(anyhow::anyhow!("JWT_SECRET_KEY is missing").into());
        }
        Ok(&self.tokens)
    }

    /// A key for what gives access, such as a link that sets a password. It comes from the settings only, so that whoever can
    /// read the database cannot make one.
    ///
    /// # Errors
    /// As [`Keys::tokens`].
    pub fn of_access(&self, purpose: Purpose) -> Result<Key> {
        match self.settings.first() {
            Some(secret) => Key::derive(secret, purpose),
            None => Key::derive(&self.tokens()?[0].secret, purpose),
        }
    }

    /// All keys of the settings for a purpose: those of `APP_SECRET`, then those of `JWT_SECRET_KEY`. The first one signs. None
    /// of them can be derived from the database.
    ///
    /// # Errors
    /// [`crate::Error::Internal`], never in practice.
    pub fn all_of_access(&self, purpose: Purpose) -> Result<Vec<Key>> {
        let tokens = self.tokens.iter().map(|key| &key.secret);
        self.settings.iter().chain(tokens).map(|secret| Key::derive(secret, purpose)).collect()
    }

    /// A key for what must outlive changes of `JWT_SECRET_KEY`, such as links in mails that people keep.
    ///
    /// # Errors
    /// [`crate::Error::Internal`] without `APP_SECRET` before the database is read.
    pub fn lasting(&self, purpose: Purpose) -> Result<Key> {
        self.all_lasting(purpose)?.into_iter().next().context("there is no APP_SECRET").map_err(Into::into)
    }

    /// All keys for a purpose, to verify what may have been signed before a change of `APP_SECRET`. The first one signs.
    ///
    /// # Errors
    /// As [`Keys::lasting`].
    pub fn all_lasting(&self, purpose: Purpose) -> Result<Vec<Key>> {
        let stored = self.stored.get().and_then(|stored| stored.secret.as_ref());
        self.settings.iter().chain(stored).map(|secret| Key::derive(secret, purpose)).collect()
    }

    /// The keys with which earlier releases signed links.
    pub fn of_earlier_links(&self) -> &[Key] {
        self.stored.get().map_or(&[], |stored| &stored.earlier_links)
    }

    /// The keys that releases before 0.4 used for `purpose`.
    pub(super) fn before_0_4(&self, purpose: Purpose) -> Result<Vec<Key>> {
        self.tokens
            .iter()
            .map(|key| mac(key.secret.expose_secret().as_bytes(), purpose).map(Key::of))
            .collect()
    }

    /// HMACs of a text as releases before 0.4 made them for repeated requests.
    ///
    /// # Errors
    /// As [`Keys::tokens`].
    pub fn sign_as_before_0_4(&self, text: &[u8]) -> Result<Vec<Hmac<Sha256>>> {
        self.tokens()?.iter().map(|key| mac(key.secret.expose_secret().as_bytes(), text)).collect()
    }
}

impl TokenKey {
    fn new(secret: &SecretString) -> Result<Self> {
        let bytes = secret.expose_secret().as_bytes();
        let id = Key::derive(secret, b"parkade: id of a token key, 1")?;
        Ok(Self {
            id: hex::encode(&id.0[..8]),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
            secret: secret.clone(),
        })
    }
}

impl Key {
    fn derive(secret: &SecretString, purpose: Purpose) -> Result<Self> {
        let mut key = [0; 32];
        let expanded = Hkdf::<Sha256>::new(None, secret.expose_secret().as_bytes()).expand(purpose, &mut key);
        expanded.map_err(|error| anyhow::anyhow!("deriving a key: {error}"))?;
        Ok(Self(key))
    }

    fn of(mac: Hmac<Sha256>) -> Self {
        Self(mac.finalize().into_bytes().into())
    }

    pub(super) fn from_hex(text: &str) -> Option<Self> {
        Some(Self(hex::decode(text).ok()?.try_into().ok()?))
    }

    pub(super) fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The key itself.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The HMAC of a text.
    ///
    /// # Errors
    /// [`crate::Error::Internal`], never in practice.
    pub fn sign(&self, text: &[u8]) -> Result<Hmac<Sha256>> {
        mac(&self.0, text)
    }
}

fn mac(key: &[u8], text: &[u8]) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| anyhow::Error::new(e).context("a key"))?;
    mac.update(text);
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::Sources;

    const ONE: &str = "one secret that is long enough: 32 bytes";
    const TWO: &str = "two secrets that are long enough: 32 bytes";

    fn keys(settings: &[(&str, &str)]) -> Keys {
        Keys::new(&Config::load(Sources::of(settings.iter().copied())).unwrap()).unwrap()
    }

    fn hex(key: Result<Key>) -> String {
        key.unwrap().to_hex()
    }

    #[test]
    fn every_purpose_and_secret_has_a_separate_key() {
        let (one, two) = (keys(&[("APP_SECRET", ONE)]), keys(&[("APP_SECRET", TWO)]));
        assert_ne!(hex(one.lasting(b"links")), hex(one.lasting(b"pseudonyms")));
        assert_ne!(hex(one.lasting(b"links")), hex(two.lasting(b"links")));
        assert_eq!(hex(one.lasting(b"links")), hex(one.of_access(b"links")));
        assert!(!format!("{one:?}").contains("secret"));
    }

    #[test]
    fn token_keys_do_not_change_lasting_keys() {
        let before = keys(&[("APP_SECRET", ONE), ("JWT_SECRET_KEY", ONE)]);
        let after = keys(&[("APP_SECRET", ONE), ("JWT_SECRET_KEY", TWO)]);
        assert_eq!(hex(before.lasting(b"links")), hex(after.lasting(b"links")));
        assert_ne!(before.tokens().unwrap()[0].id, after.tokens().unwrap()[0].id);
    }

    #[test]
    fn what_gives_access_does_not_depend_on_the_database() {
        let stored = Stored { secret: Some(TWO.into()), earlier_links: Vec::new() };
        let keys = keys(&[("JWT_SECRET_KEY", ONE)]);
        let before = hex(keys.of_access(b"tokens"));
        assert!(keys.lasting(b"links").is_err());
        keys.add(stored);
        assert_eq!(hex(keys.of_access(b"tokens")), before);
        assert!(keys.lasting(b"links").is_ok());
    }

    #[test]
    fn without_any_secret_nothing_is_signed() {
        let keys = keys(&[]);
        assert!(
            keys.tokens().is_err() && keys.of_access(b"tokens").is_err() && keys.lasting(b"links").is_err()
        );
    }
}
