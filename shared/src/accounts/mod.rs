//! People: registration, login, and the rules for what they tell about themselves.

pub mod password;
pub mod session;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
};

use self::session::Identity;
pub use crate::entities::user::Model as User;
use crate::{
    activity,
    app::App,
    cache::{self, Group},
    config::Admin,
    counters::{self, Event},
    db::{at, sql, violates},
    entities::user,
    error::{Error, FieldError, Result},
    jobs::{ledger, queue},
    notifications,
    rate_limit::{self, Action},
};
use secrecy::ExposeSecret;
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
    let account = Account::checked(registration)?;
    let hash = password::hash(account.password.clone()).await?;
    let tx = app.db.begin().await?;
    let user = insert(app, &tx, account, hash, Role::User).await?;
    let token = session::open(app, &tx, user.id, user_agent).await?;
    activity::record(&tx, app.clock.now(), user.id, activity::Kind::Login, None).await?;
    let welcome = ledger::insert(&tx, app.clock.now(), &notifications::welcome(user.id)?).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![welcome]);
    counters::happened(app, Event::Registration);
    counters::seen(app, user.id);
    cache::changed(app, &[Group::Users]).await;
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
    rate_limit::check(app, Action::Login, &format!("account:{}", hashed(&key(email)))).await?;
    let user = by_email(app, email).await?;
    let right = password::verify(password, user.as_ref().map(|user| user.password_hash.clone())).await?;
    let Some(user) = user.filter(|_| right) else {
        return Err(Error::Unauthenticated("the mail address or the password is wrong"));
    };
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let token = session::open(app, &tx, user.id, user_agent).await?;
    tx.execute_raw(sql(&tx, "UPDATE users SET last_login_at = $2 WHERE id = $1", [user.id.into(), at(now)]))
        .await?;
    activity::record(&tx, now, user.id, activity::Kind::Login, None).await?;
    tx.commit().await?;
    counters::happened(app, Event::Login);
    counters::seen(app, user.id);
    Ok(LoggedIn { user, token })
}

/// Ends the caller's session.
///
/// # Errors
/// [`Error::NotFound`] when it has ended meanwhile.
pub async fn log_out(app: &App, who: &Identity) -> Result<()> {
    session::end(app, who.user_id, who.session_id).await?;
    counters::happened(app, Event::Logout);
    counters::left(app, who.user_id);
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

/// Makes an administrator.
///
/// # Errors
/// As [`register`].
pub async fn create_admin(app: &App, username: &str, email: &str, password: &str) -> Result<User> {
    let account = Account::checked(Registration {
        username: username.into(),
        email: email.into(),
        password: password.into(),
        ..Registration::default()
    })?;
    let hash = password::hash(account.password.clone()).await?;
    let tx = app.db.begin().await?;
    let user = insert(app, &tx, account, hash, Role::Admin).await?;
    tx.commit().await?;
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
    role: Role,
) -> Result<User> {
    let now = app.clock.now();
    let row = user::ActiveModel {
        username_key: Set(key(&account.username)),
        username: Set(account.username),
        email_key: Set(key(&account.email)),
        email: Set(account.email),
        password_hash: Set(hash),
        role: Set(role.as_str().into()),
        vehicle_number: Set(account.vehicle_number),
        phone_number: Set(account.phone_number),
        reminders_off: Set(false),
        last_login_at: Set((role == Role::User).then_some(now)),
        created_at: Set(now),
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

/// A registration that follows the rules.
struct Account {
    username: String,
    email: String,
    password: String,
    vehicle_number: Option<String>,
    phone_number: Option<String>,
}

impl Account {
    fn checked(registration: Registration) -> Result<Self> {
        let mut wrong = Vec::new();
        let mut check = |pointer: &str, problem: Option<&str>| {
            wrong.extend(
                problem.map(|message| FieldError { pointer: pointer.into(), message: message.into() }),
            );
        };
        let username = registration.username.trim().to_owned();
        let email = key(&registration.email);
        let vehicle_number = optional(registration.vehicle_number);
        let phone_number = optional(registration.phone_number);
        check("/username", text_problem(&username, 80));
        check("/email", email_problem(&email));
        check("/password", password_problem(&registration.password));
        check("/vehicle_number", vehicle_number.as_deref().and_then(|text| text_problem(text, 20)));
        check("/phone_number", phone_number.as_deref().and_then(|text| text_problem(text, 20)));
        if wrong.is_empty() {
            Ok(Self { username, email, password: registration.password, vehicle_number, phone_number })
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

/// Blank is none.
fn optional(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What is wrong with a text of 1 to `most` characters.
#[must_use]
pub fn text_problem(text: &str, most: usize) -> Option<&'static str> {
    let length = text.chars().count();
    if length == 0 {
        Some("must not be empty")
    } else if length > most {
        Some(match most {
            20 => "must have at most 20 characters",
            50 => "must have at most 50 characters",
            80 => "must have at most 80 characters",
            _ => "is too long",
        })
    } else if text.contains('\0') {
        Some("must not hold a NUL character")
    } else {
        None
    }
}

fn email_problem(email: &str) -> Option<&'static str> {
    let valid = email.len() <= 120 && email.parse::<lettre::Address>().is_ok();
    (!valid).then_some("must be a mail address of at most 120 bytes")
}

fn password_problem(password: &str) -> Option<&'static str> {
    let fits = (8..=256).contains(&password.chars().count());
    (!fits).then_some("must have 8 to 256 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let Err(Error::Invalid(fields)) = Account::checked(Registration {
            username: " ".into(),
            email: "nobody".into(),
            password: "short".into(),
            vehicle_number: Some("x".repeat(21)),
            phone_number: Some("\0".into()),
        }) else {
            panic!("must be refused")
        };
        let pointers: Vec<_> = fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/username", "/email", "/password", "/vehicle_number", "/phone_number"]);
    }

    #[test]
    fn names_are_trimmed_addresses_lowered_and_blanks_dropped() {
        let account = Account::checked(Registration {
            username: " Asha ".into(),
            email: " Asha@Example.COM ".into(),
            password: "long enough".into(),
            vehicle_number: Some("  ".into()),
            phone_number: None,
        })
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(account.username, "Asha");
        assert_eq!(account.email, "asha@example.com");
        assert_eq!(account.vehicle_number, None);
    }
}
