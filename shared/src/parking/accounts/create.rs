//! An administrator creates an account for somebody else.

use serde_json::json;

use super::{
    account::{Account, Registration, Role},
    password::{self, Priority},
    user::{self, User},
};
use crate::{
    app::App,
    base::{error::Result, identity::Identity},
    jobs::Change,
    parking::{
        audit::{self, Action, Object},
        notifications, second_factor,
    },
    platform::{cache::Group, counters::Event, idempotency::Idempotency},
};

/// Creates an account with any role and sends a welcome mail.
///
/// # Errors
/// As [`super::register`]; [`Error::Unconfirmed`](crate::Error::Unconfirmed) if it is an administrator, the caller has a second
/// factor, and has not sent a code lately.
pub async fn create(
    app: &App,
    who: &Identity,
    registration: Registration,
    role: Option<String>,
    idempotency: Idempotency<User>,
) -> Result<User> {
    let account = Account::checked(registration, role.as_deref(), app.config.phone_country).await?;
    if account.role == Role::Admin {
        second_factor::require_fresh(app, who).await?;
    }
    let hash = password::hash(Priority::Other, account.password.clone()).await?;
    let mut change = Change::begin(app).await?;
    let now = app.clock.now();
    let user = user::insert(change.tx(), now, account, hash, None).await?;
    if user.role() == Role::Admin {
        let object = Object::User(user.id);
        audit::record(change.tx(), now, &who.into(), Action::AdministratorCreated, object, &json!({}))
            .await?;
    }
    change.enqueue(&notifications::welcome(user.id)?).await?;
    change.invalidates([Group::Users]);
    change.counts(Event::UserCreated);
    change.commit_with_answer(&idempotency, user).await
}
