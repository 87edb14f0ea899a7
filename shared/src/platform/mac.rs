//! Signatures with keys that are derived from the secret, one for each purpose.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{base::error::Result, platform::config::Config};

/// The HMAC of a text. Another purpose gives another one.
///
/// # Errors
/// [`crate::Error::Internal`] if `JWT_SECRET_KEY` is not set.
pub fn sign(config: &Config, purpose: &[u8], text: &[u8]) -> Result<Hmac<Sha256>> {
    let key = mac(config.jwt_secret().map_err(anyhow::Error::new)?, purpose)?;
    mac(&key.finalize().into_bytes(), text)
}

fn mac(key: &[u8], text: &[u8]) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| anyhow::Error::new(e).context("a key"))?;
    mac.update(text);
    Ok(mac)
}
