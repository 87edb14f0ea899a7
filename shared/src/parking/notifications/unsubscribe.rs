//! Links that end mails of a kind without a login: signed, for ever good, and worth nothing for anything else.

use hmac::{Hmac, Mac};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    app::App,
    base::error::{Error, Result},
    platform::{cache::Group, config::Config, db::sql},
};

/// Mails that a user may do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscription {
    /// The daily reminders.
    Reminders,
    /// The monthly reports.
    Reports,
}

/// Keeps these signatures apart from everything else that the secret signs.
const PURPOSE: &[u8] = b"parkade: links that unsubscribe, 1";

impl Subscription {
    /// As it stands in links.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reminders => "reminders",
            Self::Reports => "reports",
        }
    }

    /// What goes by this name in links.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Reminders, Self::Reports].into_iter().find(|one| one.name() == name)
    }

    /// The column that says so.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Reminders => "reminders_off",
            Self::Reports => "reports_off",
        }
    }

    /// Where a user ends it.
    ///
    /// # Errors
    /// [`Error::Internal`] without a `JWT_SECRET_KEY`.
    pub fn link(self, config: &Config, user_id: i64) -> Result<String> {
        let signature = self.signature(config, user_id)?.finalize().into_bytes();
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let (base, name) = (&config.public_url, self.name());
        Ok(format!("{base}/api/unsubscribe?user_id={user_id}&mails={name}&signature={signature}"))
    }

    fn signature(self, config: &Config, user_id: i64) -> Result<Hmac<Sha256>> {
        let key = mac(config.jwt_secret().map_err(anyhow::Error::new)?, PURPOSE)?;
        mac(&key.finalize().into_bytes(), format!("{}:{user_id}", self.name()).as_bytes())
    }

    /// Whether the signature, in hexadecimal, is that of the user's link.
    ///
    /// # Errors
    /// [`Error::NotFound`] for any other, whoever the user is or was.
    pub fn verify(self, config: &Config, user_id: i64, signature: &str) -> Result<()> {
        let digits = signature
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        let given: Vec<u8> = digits.collect::<Option<_>>().unwrap_or_default();
        // Takes the same time wherever the two differ.
        let verified = self.signature(config, user_id)?.verify_slice(&given);
        verified.map_err(|_| Error::NotFound("unsubscribe link"))
    }

    /// Ends it for the user whose link this is. Once more changes nothing.
    ///
    /// # Errors
    /// As [`Subscription::verify`].
    pub async fn end(self, app: &App, user_id: i64, signature: &str) -> Result<()> {
        self.verify(&app.config, user_id, signature)?;
        let (db, off) = (app.db.write(), self.column());
        let text =
            format!("UPDATE users SET {off} = TRUE WHERE id = $1 AND deleted_at IS NULL AND NOT {off}");
        db.execute_raw(sql(db, &text, [user_id.into()])).await?;
        app.cache.invalidate(&[Group::Users, Group::User(user_id)]).await;
        tracing::info!(user.id = user_id, subscription = self.name(), "unsubscribed");
        Ok(())
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

    fn config(secret: &str) -> Config {
        Config::load(Sources::of([("JWT_SECRET_KEY", secret)])).unwrap()
    }

    #[test]
    fn link_is_valid_for_one_user_purpose_and_installation() {
        let ours = config("a secret that is long enough: 32 bytes");
        let link = Subscription::Reminders.link(&ours, 17).unwrap();
        let (start, signature) = link.rsplit_once('=').unwrap();
        assert_eq!(start, "http://127.0.0.1:5000/api/unsubscribe?user_id=17&mails=reminders&signature");
        assert_eq!(signature.len(), 64);
        assert!(Subscription::Reminders.verify(&ours, 17, signature).is_ok());
        assert!(Subscription::Reminders.verify(&ours, 17, &signature.to_uppercase()).is_ok());
        assert!(Subscription::Reminders.verify(&ours, 18, signature).is_err());
        assert!(Subscription::Reports.verify(&ours, 17, signature).is_err());
        let theirs = config("another secret that is long enough, too");
        assert!(Subscription::Reminders.verify(&theirs, 17, signature).is_err());
    }

    #[test]
    fn invalid_signatures_are_rejected() {
        let config = config("a secret that is long enough: 32 bytes");
        let link = Subscription::Reports.link(&config, 1).unwrap();
        let signature = link.rsplit_once('=').unwrap().1;
        let other = if signature.ends_with('0') { '1' } else { '0' };
        for forged in [
            "",
            "0",
            "zz",
            "é",
            &signature[..62],
            &format!("{signature}00"),
            &format!("{}{other}", &signature[..63]),
        ] {
            assert!(
                matches!(Subscription::Reports.verify(&config, 1, forged), Err(Error::NotFound(_))),
                "{forged}"
            );
        }
    }
}
