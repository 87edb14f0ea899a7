//! Administrators that are created from the command line or the settings.

use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::{
    account::{Account, Registration, Role},
    find::by_email,
    password,
    user::{self, User},
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::audit::{self, Action, Actor, Object},
    platform::{cache::Group, config::Admin},
};

/// Creates an administrator on the order of an operator on the command line.
///
/// # Errors
/// As [`super::register`].
pub async fn create_admin(app: &App, username: &str, email: &str, password: &str) -> Result<User> {
    insert_admin(app, &Actor::COMMAND_LINE, username, email, password).await
}

async fn insert_admin(app: &App, by: &Actor, username: &str, email: &str, password: &str) -> Result<User> {
    let registration = Registration {
        username: username.into(),
        email: email.into(),
        password: password.into(),
        ..Registration::default()
    };
    let account = Account::checked(registration, Some(Role::Admin.as_str()))?;
    let hash = password::hash(account.password.clone()).await?;
    let mut change = Change::begin(app).await?;
    let now = app.clock.now();
    let user = user::insert(change.tx(), now, account, hash, None).await?;
    let object = Object::User(user.id);
    audit::record(change.tx(), now, by, Action::AdministratorCreated, object, &json!({})).await?;
    change.invalidates([Group::Users]);
    change.commit().await?;
    Ok(user)
}

/// Creates the administrator of the settings, unless the address already has an account.
///
/// # Errors
/// As [`super::register`].
pub async fn ensure_admin(app: &App, admin: &Admin) -> Result<()> {
    if by_email(app, &admin.email).await?.is_some() {
        return Ok(());
    }
    let name = admin.email.split('@').next().unwrap_or("admin");
    let password = admin.password.expose_secret();
    let created = match insert_admin(app, &Actor::SETTINGS, name, &admin.email, password).await {
        Err(Error::Conflict { code: "username_taken", .. }) => {
            let name = format!("{name}-{}", &Uuid::new_v4().simple().to_string()[..8]);
            insert_admin(app, &Actor::SETTINGS, &name, &admin.email, password).await
        }
        created => created,
    };
    match created {
        // Another process, which started at the same time, has created it.
        Err(Error::Conflict { .. }) if by_email(app, &admin.email).await?.is_some() => Ok(()),
        created => created.map(|user| tracing::info!(user.id, "administrator created")),
    }
}
