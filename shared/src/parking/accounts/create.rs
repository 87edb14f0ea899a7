//! An administrator creates an account for somebody else.

use serde_json::json;

use super::{
    account::{Account, Registration, Role},
    password,
    user::{self, User},
};
use crate::{
    app::App,
    base::error::Result,
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object},
        notifications,
    },
    platform::{cache::Group, counters::Event, idempotency::Idempotency},
};

/// Creates an account with any role and sends a welcome mail.
///
/// # Errors
/// As [`super::register`].
pub async fn create(
    app: &App,
    by: &Actor,
    registration: Registration,
    role: Option<String>,
    idempotency: Idempotency<User>,
) -> Result<User> {
    let account = Account::checked(registration, role.as_deref(), app.config.phone_country).await?;
    let hash = password::hash(account.password.clone()).await?;
    let mut change = Change::begin(app).await?;
    let now = app.clock.now();
    let user = user::insert(change.tx(), now, account, hash, None).await?;
    if user.role() == Role::Admin {
        let object = Object::User(user.id);
        audit::record(change.tx(), now, by, Action::AdministratorCreated, object, &json!({})).await?;
    }
    change.enqueue(&notifications::welcome(user.id)?).await?;
    change.invalidates([Group::Users]);
    change.counts(Event::UserCreated);
    change.commit_with_answer(&idempotency, user).await
}
