//! Mails that users can unsubscribe from, and the links for it: signed, valid without a login, and without expiry.

use hmac::{Hmac, Mac};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    platform::{cache::Group, config::Config, db::sql, mac},
};

/// Mails that a user can unsubscribe from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subscription {
    /// The daily reminders.
    Reminders,
    /// The monthly reports.
    Reports,
}

/// Separates these signatures from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: links that unsubscribe, 1";

impl Subscription {
    /// The name used in links.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reminders => "reminders",
            Self::Reports => "reports",
        }
    }

    /// The inverse of [`Subscription::name`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Reminders, Self::Reports].into_iter().find(|one| one.name() == name)
    }

    /// The kind of the jobs that send these mails.
    pub(super) const fn job_kind(self) -> &'static str {
        match self {
            Self::Reminders => "send-reminder",
            Self::Reports => "send-monthly-report",
        }
    }

    /// The column of `users` that is true for those who unsubscribed.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Reminders => "reminders_off",
            Self::Reports => "reports_off",
        }
    }

    /// The link by which a user unsubscribes.
    ///
    /// # Errors
    /// [`Error::Internal`] if `JWT_SECRET_KEY` is not set.
    pub fn link(self, config: &Config, user_id: i64) -> Result<String> {
        let signature = hex::encode(self.signature(config, user_id)?.finalize().into_bytes());
        let (base, name) = (&config.public_url, self.name());
        Ok(format!("{base}/api/unsubscribe?user_id={user_id}&mails={name}&signature={signature}"))
    }

    fn signature(self, config: &Config, user_id: i64) -> Result<Hmac<Sha256>> {
        mac::sign(config, PURPOSE, format!("{}:{user_id}", self.name()).as_bytes())
    }

    /// Checks the hexadecimal signature of a user's link.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is wrong, whether or not the user exists.
    pub fn verify(self, config: &Config, user_id: i64, signature: &str) -> Result<()> {
        let given = hex::decode(signature).unwrap_or_default();
        // Compares in constant time.
        let verified = self.signature(config, user_id)?.verify_slice(&given);
        verified.map_err(|_| Error::NotFound("unsubscribe link"))
    }

    /// Subscribes or unsubscribes a user who is logged in. Idempotent.
    pub async fn choose(self, app: &App, user_id: i64, wanted: bool) -> Result<()> {
        let off = self.column();
        let text = format!("UPDATE users SET {off} = $2 WHERE id = $1 AND deleted_at IS NULL");
        let mut change = Change::begin(app).await?;
        change.tx().execute_raw(sql(change.tx(), &text, [user_id.into(), (!wanted).into()])).await?;
        change.invalidates([Group::Users, Group::User(user_id)]);
        change.commit().await
    }

    /// Unsubscribes the user whose link this is. Idempotent.
    ///
    /// # Errors
    /// As [`Subscription::verify`].
    pub async fn end(self, app: &App, user_id: i64, signature: &str) -> Result<()> {
        self.verify(&app.config, user_id, signature)?;
        let off = self.column();
        let text =
            format!("UPDATE users SET {off} = TRUE WHERE id = $1 AND deleted_at IS NULL AND NOT {off}");
        let mut change = Change::begin(app).await?;
        change.tx().execute_raw(sql(change.tx(), &text, [user_id.into()])).await?;
        change.invalidates([Group::Users, Group::User(user_id)]);
        change.commit().await?;
        tracing::info!(user.id = user_id, subscription = self.name(), "unsubscribed");
        Ok(())
    }
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
