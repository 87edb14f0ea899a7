//! An administrator creates an account for somebody else.

use super::{
    account::{Account, Registration},
    password,
    user::{self, User},
};
use crate::{
    app::App,
    base::error::Result,
    jobs::Change,
    parking::notifications,
    platform::{cache::Group, counters::Event, idempotency::Idempotency},
};

/// Creates an account with any role and sends a welcome mail.
///
/// # Errors
/// As [`super::register`].
pub async fn create(
    app: &App,
    registration: Registration,
    role: Option<String>,
    idempotency: Idempotency<User>,
) -> Result<User> {
    let account = Account::checked(registration, role.as_deref())?;
    let hash = password::hash(account.password.clone()).await?;
    let mut change = Change::begin(app).await?;
    let user = user::insert(change.tx(), app.clock.now(), account, hash, None).await?;
    change.enqueue(&notifications::welcome(user.id)?).await?;
    change.invalidates([Group::Users]);
    change.counts(Event::UserCreated);
    change.commit_with_answer(&idempotency, user).await
}
