//! Limits on guessing passwords, for every route that checks one. Nobody can lock the owner of an account out.

use std::{net::IpAddr, time::Duration};

use hmac::Mac;

use super::{
    find::{mail_key, with_mail},
    known,
};
use crate::{
    app::App,
    base::{error::Result, network::Network},
    jobs::Change,
    parking::notifications,
    platform::rate_limit::{Action, Budget},
};

const HOUR: Duration = Duration::from_hours(1);

/// Failures of an account, wherever they come from. Beyond them, only addresses from which it has logged in may try.
const CEILING: Budget = Budget { calls: 100, window: HOUR };

/// What one address can add to the failures of an account.
const SHARE: Budget = Budget { calls: 10, window: HOUR };

/// How often the owner is told.
const NOTICES: Budget = Budget { calls: 1, window: Duration::from_hours(24) };

/// Separates the names of these limits from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: limits on guessing, 1";

/// An attempt to prove that a password belongs to an account. It counts as failed unless it is said to have succeeded.
pub(super) struct Attempt<'a> {
    app: &'a App,
    /// To give back.
    taken: Vec<(Budget, String)>,
}

impl<'a> Attempt<'a> {
    /// Counts an attempt for the account with this mail address, whether or not it exists.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::Error::RateLimited).
    pub(super) async fn begin(app: &'a App, email: &str, address: Option<IpAddr>) -> Result<Self> {
        let mut attempt = Self { app, taken: Vec::new() };
        match attempt.must_wait(email, address).await? {
            None => Ok(attempt),
            Some(wait) => {
                attempt.give_back().await;
                Err(app.limits.rejection(wait))
            }
        }
    }

    /// Gives back what the attempt has taken.
    pub(super) async fn succeeded(self) {
        self.give_back().await;
    }

    async fn must_wait(&mut self, email: &str, address: Option<IpAddr>) -> Result<Option<Duration>> {
        let (login, network) = (self.app.config.rate_limits[Action::Login as usize], Network(address));
        let account = digest(self.app, &mail_key(email))?;
        let pair = format!("account:{account}:{network}");
        if let Some(wait) = self.take(login, pair.clone()).await {
            return Ok(Some(wait));
        }
        let by_address = self.take(login, format!("address:{network}")).await;
        let by_account = self.take_from_ceiling(&account, format!("{pair}:share")).await;
        if by_account.is_some() {
            self.tell_owner(email, &account).await?;
        }
        let wait = by_address.max(by_account);
        let is_stranger =
            wait.is_some() && !known::is_known(self.app, &with_mail(self.app, email).await?, address).await?;
        Ok(wait.filter(|_| is_stranger))
    }

    /// An address that has contributed its share is measured by the ceiling, and raises it no further.
    async fn take_from_ceiling(&mut self, account: &str, share: String) -> Option<Duration> {
        let ceiling = format!("account:{account}");
        if self.take(SHARE, share).await.is_none() {
            return self.take(CEILING, ceiling).await;
        }
        let decision = self.app.limits.peek_within(Action::Login, CEILING, &ceiling).await;
        (!decision.allowed).then_some(decision.retry_after)
    }

    /// How long to wait if there is nothing left.
    async fn take(&mut self, budget: Budget, caller: String) -> Option<Duration> {
        let decision = self.app.limits.take_within(Action::Login, budget, &caller).await;
        if !decision.allowed {
            return Some(decision.retry_after);
        }
        self.taken.push((budget, caller));
        None
    }

    async fn give_back(self) {
        for (budget, caller) in self.taken {
            self.app.limits.give_back_within(Action::Login, budget, &caller).await;
        }
    }

    async fn tell_owner(&self, email: &str, account: &str) -> Result<()> {
        let notice = format!("account:{account}:notice");
        if !self.app.limits.take_within(Action::Login, NOTICES, &notice).await.allowed {
            return Ok(());
        }
        let now = self.app.clock.now();
        let mut change = Change::begin(self.app).await?;
        for user in with_mail(self.app, email).await? {
            change.enqueue(&notifications::guessing(user.id, now)?).await?;
        }
        change.commit().await
    }
}

/// Names an account in Redis without its address.
fn digest(app: &App, mail_key: &str) -> Result<String> {
    let signed = app.keys.lasting(PURPOSE)?.sign(mail_key.as_bytes())?.finalize().into_bytes();
    Ok(hex::encode(&signed[..12]))
}
