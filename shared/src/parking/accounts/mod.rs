//! People: registration, login, and the rules for what they tell about themselves.

mod checks;
mod deletion;
pub mod password;
pub mod session;
mod users;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QuerySelect, sea_query::LockType,
};
use secrecy::ExposeSecret;

use self::checks::Account;
pub use self::{
    checks::text_problem,
    deletion::delete,
    users::{Changes, Wanted, create, list, update},
};
pub use crate::platform::entities::user::Model as User;
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::{ledger, queue},
    parking::{activity, notifications},
    platform::{
        cache::Group,
        config::Admin,
        counters::Event,
        db::{Transaction, at, sql, violates},
        entities::user,
        metrics,
        rate_limit::Action,
    },
};
use sha2::{Digest, Sha256};

/// What somebody tells to get an account.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// Shown to others; unique without regard to case.
    pub username: String,
    /// The login; unique without regard to case.
    pub email: String,
    /// In clear.
    pub password: String,
    /// Plate; unique where given.
    pub vehicle_number: Option<String>,
    /// Unique where given.
    pub phone_number: Option<String>,
}

/// What a user may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A driver.
    User,
    /// Runs the place.
    Admin,
}

impl Role {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        [Self::User, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// A user and the token that they can show from now on.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The user.
    pub user: User,
    /// The token.
    pub token: String,
}

/// Opens an account for a driver, logs them in and sends a welcome mail.
///
/// # Errors
/// [`Error::Invalid`] with every wrong field; [`Error::Conflict`] when name, mail, plate or phone is taken.
pub async fn register(app: &App, registration: Registration, user_agent: Option<String>) -> Result<LoggedIn> {
    let account = Account::checked(registration, None)?;
    let hash = password::hash(account.password.clone()).await?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let user = insert(app, &tx, account, hash, Some(now)).await?;
    let token = session::open(app, &tx, user.id, user_agent).await?;
    activity::record(&tx, now, user.id, activity::Kind::Login, None).await?;
    let welcome = ledger::insert(&tx, now, &notifications::welcome(user.id)?).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![welcome]);
    app.counters.record(Event::Registration);
    app.counters.mark_active(user.id);
    app.cache.invalidate(&[Group::Users]).await;
    Ok(LoggedIn { user, token })
}

/// Logs in by mail address and password.
///
/// # Errors
/// [`Error::Unauthenticated`], the same for an unknown address and a wrong password.
pub async fn log_in(
    app: &App,
    email: &str,
    password: String,
    user_agent: Option<String>,
) -> Result<LoggedIn> {
    let refused = || {
        metrics::record_event(metrics::LOGIN_REFUSED);
        Error::Unauthenticated("the mail address or the password is wrong")
    };
    app.limits.check(Action::Login, &format!("account:{}", hashed(&key(email)))).await?;
    let user = by_email(app, email).await?;
    let right = password::verify(password, user.as_ref().map(|user| user.password_hash.clone())).await?;
    let user = user.filter(|_| right).ok_or_else(refused)?;
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    // First, because it waits for who is changing the password or deleting the user, and ending all sessions.
    let still_right = tx
        .execute_raw(sql(
            &tx,
            "UPDATE users SET last_login_at = $2 WHERE id = $1 AND password_hash = $3 AND deleted_at IS NULL",
            [user.id.into(), at(now), user.password_hash.clone().into()],
        ))
        .await?;
    if still_right.rows_affected() == 0 {
        return Err(refused());
    }
    let token = session::open(app, &tx, user.id, user_agent).await?;
    activity::record(&tx, now, user.id, activity::Kind::Login, None).await?;
    tx.commit().await?;
    app.counters.record(Event::Login);
    app.counters.mark_active(user.id);
    Ok(LoggedIn { user, token })
}

/// Ends the caller's session.
///
/// # Errors
/// [`Error::NotFound`] when it has ended meanwhile.
pub async fn log_out(app: &App, who: &Identity) -> Result<()> {
    session::end(app, who.user_id, who.session_id).await?;
    app.counters.record(Event::Logout);
    app.counters.mark_inactive(who.user_id);
    Ok(())
}

/// The user with this address, unless deleted.
///
/// # Errors
/// Those of the database.
pub async fn by_email(app: &App, email: &str) -> Result<Option<User>> {
    let key = key(email);
    // No stored address has one, and PostgreSQL refuses to be asked.
    if key.contains('\0') {
        return Ok(None);
    }
    Ok(user::Entity::find()
        .filter(user::Column::EmailKey.eq(key))
        .filter(user::Column::DeletedAt.is_null())
        .one(app.db.read())
        .await?)
}

/// The user with this id, unless deleted.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn by_id(app: &App, id: i64) -> Result<User> {
    user::Entity::find_by_id(id)
        .filter(user::Column::DeletedAt.is_null())
        .one(app.db.read())
        .await?
        .ok_or(Error::NotFound("user"))
}

/// Refuses who has been deleted since they were recognised.
pub(crate) async fn must_live(db: &impl ConnectionTrait, id: i64) -> Result<()> {
    let text = "SELECT 1 AS one FROM users WHERE id = $1 AND deleted_at IS NULL";
    match db.query_one_raw(sql(db, text, [id.into()])).await? {
        Some(_) => Ok(()),
        None => Err(Error::Unauthenticated("the account has been deleted")),
    }
}

/// The user with this id, kept from other changes, bookings and logins until the end of the transaction. Rows that
/// merely refer to the user can still be written: who writes them may hold what this transaction waits for.
async fn lock(tx: &Transaction, id: i64) -> Result<User> {
    user::Entity::find_by_id(id)
        .filter(user::Column::DeletedAt.is_null())
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?
        .ok_or(Error::NotFound("user"))
}

/// Makes an administrator.
///
/// # Errors
/// As [`register`].
pub async fn create_admin(app: &App, username: &str, email: &str, password: &str) -> Result<User> {
    let registration = Registration {
        username: username.into(),
        email: email.into(),
        password: password.into(),
        ..Registration::default()
    };
    let account = Account::checked(registration, Some(Role::Admin.as_str()))?;
    let hash = password::hash(account.password.clone()).await?;
    let user = insert(app, app.db.write(), account, hash, None).await?;
    app.cache.invalidate(&[Group::Users]).await;
    Ok(user)
}

/// Makes the administrator of the settings, unless there is a user with that address.
///
/// # Errors
/// As [`register`]; that another process was faster is none.
pub async fn ensure_admin(app: &App, admin: &Admin) -> Result<()> {
    if by_email(app, &admin.email).await?.is_some() {
        return Ok(());
    }
    let name = admin.email.split('@').next().unwrap_or("admin").to_owned();
    let password = admin.password.expose_secret();
    let made = match create_admin(app, &name, &admin.email, password).await {
        Err(Error::Conflict { code: "username_taken", .. }) => {
            let name = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
            create_admin(app, &name, &admin.email, password).await
        }
        made => made,
    };
    match made {
        // Another process was faster.
        Err(Error::Conflict { .. }) if by_email(app, &admin.email).await?.is_some() => Ok(()),
        made => made.map(|user| tracing::info!(user.id, "administrator created")),
    }
}

async fn insert(
    app: &App,
    db: &impl ConnectionTrait,
    account: Account,
    hash: String,
    last_login_at: Option<DateTime<Utc>>,
) -> Result<User> {
    let row = user::ActiveModel {
        username_key: Set(key(&account.username)),
        username: Set(account.username),
        email_key: Set(key(&account.email)),
        email: Set(account.email),
        password_hash: Set(hash),
        role: Set(account.role.as_str().into()),
        vehicle_number: Set(account.vehicle_number),
        phone_number: Set(account.phone_number),
        reminders_off: Set(false),
        reports_off: Set(false),
        last_login_at: Set(last_login_at),
        created_at: Set(app.clock.now()),
        deleted_at: Set(None),
        ..Default::default()
    };
    row.insert(db).await.map_err(taken)
}

/// Which unique column refused the row.
fn taken(error: DbErr) -> Error {
    const COLUMNS: [(&str, &str, &str); 4] = [
        ("email_key", "email_taken", "this mail address has an account already"),
        ("username_key", "username_taken", "this user name is taken"),
        ("vehicle_number", "vehicle_taken", "this vehicle belongs to another account"),
        ("phone_number", "phone_taken", "this phone number belongs to another account"),
    ];
    COLUMNS
        .into_iter()
        .find(|(column, ..)| violates(&error, &format!("users_{column}_key"), &format!("users.{column}")))
        .map_or_else(|| error.into(), |(_, code, message)| Error::conflict(code, message))
}

/// Keys in Redis hold no addresses.
fn hashed(text: &str) -> String {
    Sha256::digest(text)[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By this, names and addresses are compared.
fn key(text: &str) -> String {
    text.trim().to_lowercase()
}
