//! Administrators that are created from the command line or the settings.

use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::{
    account::{Account, Registration, Role},
    find::by_email,
    password::{self, Priority},
    user::{self, User},
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::audit::{self, Action, Actor, Object},
    platform::{cache::Group, config::Admin, db::sql},
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
    let account =
        Account::checked(registration, Some(Role::Admin.as_str()), app.config.phone_country).await?;
    let hash = password::hash(Priority::Other, account.password.clone()).await?;
    let mut change = Change::begin(app).await?;
    let now = app.clock.now();
    let user = user::insert(change.tx(), now, account, hash, None).await?;
    let object = Object::User(user.id);
    audit::record(change.tx(), now, by, Action::AdministratorCreated, object, &json!({})).await?;
    change.invalidates([Group::Users]);
    change.commit().await?;
    Ok(user)
}

/// Creates the administrator of the settings, unless there is any administrator, or the address already has an account.
///
/// # Errors
/// As [`super::register`].
pub async fn ensure_admin(app: &App, admin: &Admin) -> Result<()> {
    if has_admin(app).await? || by_email(app, &admin.email).await?.is_some() {
        return Ok(());
    }
    let name = name_of(&admin.email);
    let password = admin.password.expose_secret();
    let by = Actor::SETTINGS;
    let created = match insert_admin(app, &by, &name, &admin.email, password).await {
        Err(Error::Conflict { code: "username_taken", .. }) => {
            let letters = Uuid::new_v4().simple().to_string().replace(|c: char| c.is_ascii_digit(), "x");
            insert_admin(app, &by, &format!("{name}-{}", &letters[..8]), &admin.email, password).await
        }
        created => created,
    };
    match created {
        // Another process, which started at the same time, has created it.
        Err(Error::Conflict { .. }) if by_email(app, &admin.email).await?.is_some() => Ok(()),
        created => created.map(|user| tracing::info!(user.id, "administrator created")).map_err(in_settings),
    }
}

async fn has_admin(app: &App) -> Result<bool> {
    let db = app.db.read();
    let text = "SELECT 1 AS one FROM users WHERE role = 'admin' AND deleted_at IS NULL LIMIT 1";
    Ok(db.query_one_raw(sql(db, text, [])).await?.is_some())
}

/// Names the settings that are wrong.
fn in_settings(error: Error) -> Error {
    let Error::Invalid(mut fields) = error else { return error };
    for field in &mut fields {
        field.pointer = field.pointer.replace("/password", "ADMIN_PASSWORD").replace("/email", "ADMIN_EMAIL");
    }
    Error::Invalid(fields)
}

/// A user name made of the part before the @.
fn name_of(email: &str) -> String {
    let part = email.split('@').next().unwrap_or_default();
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words: String = part.chars().take(60).map(|c| if is_kept(c) { c } else { ' ' }).collect();
    spelling::name(&words).unwrap_or_else(|_| "admin".to_owned())
}
