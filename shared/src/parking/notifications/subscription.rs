//! Mails that users can unsubscribe from, and the links for it: signed, valid without a login, and without expiry.

use hmac::{Hmac, Mac};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    platform::{
        cache::Group,
        config::Config,
        db::sql,
        keys::{Key, Keys},
        secrets::LINKS,
    },
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
    /// As [`Keys::lasting`].
    pub fn link(self, config: &Config, keys: &Keys, user_id: i64) -> Result<String> {
        let signature = self.signature(&keys.lasting(LINKS)?, user_id)?;
        let signature = hex::encode(signature.finalize().into_bytes());
        let (base, name) = (&config.public_url, self.name());
        Ok(format!("{base}/api/unsubscribe?user_id={user_id}&mails={name}&signature={signature}"))
    }

    fn signature(self, key: &Key, user_id: i64) -> Result<Hmac<Sha256>> {
        key.sign(format!("{}:{user_id}", self.name()).as_bytes())
    }

    /// Checks the hexadecimal signature of a user's link, also of one that an earlier release has mailed.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is wrong, whether or not the user exists.
    pub fn verify(self, keys: &Keys, user_id: i64, signature: &str) -> Result<()> {
        let given = hex::decode(signature).unwrap_or_default();
        for key in keys.all_lasting(LINKS)?.iter().chain(keys.of_earlier_links()) {
            // Compares in constant time.
            if self.signature(key, user_id)?.verify_slice(&given).is_ok() {
                return Ok(());
            }
        }
        Err(Error::NotFound("unsubscribe link"))
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
        self.verify(&app.keys, user_id, signature)?;
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

    fn with_secret(secret: &str) -> (Config, Keys) {
        let config = Config::load(Sources::of([("APP_SECRET", secret)])).unwrap();
        let keys = Keys::new(&config).unwrap();
        (config, keys)
    }

    #[test]
    fn link_is_valid_for_one_user_purpose_and_installation() {
        let (config, ours) = with_secret("a secret that is long enough: 32 bytes");
        let link = Subscription::Reminders.link(&config, &ours, 17).unwrap();
        let (start, signature) = link.rsplit_once('=').unwrap();
        assert_eq!(start, "http://127.0.0.1:5000/api/unsubscribe?user_id=17&mails=reminders&signature");
        assert_eq!(signature.len(), 64);
        assert!(Subscription::Reminders.verify(&ours, 17, signature).is_ok());
        assert!(Subscription::Reminders.verify(&ours, 17, &signature.to_uppercase()).is_ok());
        assert!(Subscription::Reminders.verify(&ours, 18, signature).is_err());
        assert!(Subscription::Reports.verify(&ours, 17, signature).is_err());
        let (_, theirs) = with_secret("another secret that is as long as it has to be");
        assert!(Subscription::Reminders.verify(&theirs, 17, signature).is_err());
    }

    #[test]
    fn invalid_signatures_are_rejected() {
        let (config, keys) = with_secret("a secret that is long enough: 32 bytes");
        let link = Subscription::Reports.link(&config, &keys, 1).unwrap();
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
                matches!(Subscription::Reports.verify(&keys, 1, forged), Err(Error::NotFound(_))),
                "{forged}"
            );
        }
    }
}
