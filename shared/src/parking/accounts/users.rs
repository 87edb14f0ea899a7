//! Accounts as administrators see them, and changes to them.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};
use uuid::Uuid;

use super::{
    Registration, Role, User, by_id,
    checks::{Account, Checks},
    hashed, insert, key, lock, password, session, taken,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        page::{Page, Paged},
    },
    jobs::{ledger, queue},
    parking::{exports, notifications},
    platform::{
        cache::Group,
        counters::Event,
        db::{Transaction, retry_on_conflict},
        entities::user,
        idempotency::Idempotency,
    },
};

/// What is to change of a user; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// As in [`Registration`].
    pub username: Option<String>,
    /// As in [`Registration`].
    pub email: Option<String>,
    /// As in [`Registration`].
    pub password: Option<String>,
    /// `user` or `admin`; counts only from an administrator.
    pub role: Option<String>,
    /// The plate; none or a blank one takes it away.
    pub vehicle_number: Option<Option<String>>,
    /// The phone number; none or a blank one takes it away.
    pub phone_number: Option<Option<String>>,
}

/// Which users: all, or the one with this mail address or this name. How it is capitalised does not matter.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// As in [`Registration`].
    pub email: Option<String>,
    /// As in [`Registration`].
    pub username: Option<String>,
}

impl Wanted {
    /// Tells this from everything else that can be wanted, and holds no address; `None` for all users.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        let wanted = [&self.email, &self.username].map(|text| text.as_deref().map(key));
        (wanted != [None, None]).then(|| hashed(&format!("{wanted:?}")))
    }
}

/// The wanted users that are not deleted, by id.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App, wanted: &Wanted, page: &Page) -> Result<Paged<User>> {
    let is = |column: user::Column, text: &Option<String>| text.as_deref().map(|text| column.eq(key(text)));
    let rows = user::Entity::find()
        .filter(user::Column::DeletedAt.is_null())
        .filter(
            Condition::all()
                .add_option(is(user::Column::EmailKey, &wanted.email))
                .add_option(is(user::Column::UsernameKey, &wanted.username)),
        )
        .filter(user::Column::Id.gt(page.after.unwrap_or(0)))
        .order_by_asc(user::Column::Id)
        .limit(page.fetch_limit().unsigned_abs())
        .all(app.db.read())
        .await?;
    Ok(page.trim(rows))
}

/// Opens an account for somebody else, with any role, and sends them a welcome mail.
///
/// # Errors
/// As [`super::register`].
pub async fn create(
    app: &App,
    registration: Registration,
    role: Option<String>,
    keep: Idempotency<User>,
) -> Result<User> {
    let account = Account::checked(registration, role.as_deref())?;
    let hash = password::hash(account.password.clone()).await?;
    let tx = app.db.begin().await?;
    let user = insert(app, &tx, account, hash, None).await?;
    let welcome = ledger::insert(&tx, app.clock.now(), &notifications::welcome(user.id)?).await?;
    keep.store(&tx, &user).await?;
    tx.commit().await?;
    queue::announce_soon(app, vec![welcome]);
    app.counters.record(Event::UserCreated);
    app.cache.invalidate(&[Group::Users]).await;
    Ok(user)
}

/// Changes a user. Another password or another role ends all their sessions.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] with every wrong field; [`Error::Conflict`] when something is taken, or the
/// last administrator would be none any more.
pub async fn update(app: &App, who: &Identity, id: i64, changes: Changes) -> Result<User> {
    let role = changes.role.filter(|_| who.is_admin);
    let changes = Checked::of(Changes { role, ..changes })?;
    let hash = match &changes.password {
        Some(password) => new_hash(app, id, password.clone()).await?,
        None => None,
    };
    let (user, ended) = retry_on_conflict(|| try_to_update(app, id, &changes, hash.as_deref())).await?;
    session::forget(app, &ended).await;
    app.cache.invalidate(&[Group::Users, Group::User(id)]).await;
    Ok(user)
}

/// The user as changed, and the sessions that have ended.
async fn try_to_update(
    app: &App,
    id: i64,
    changes: &Checked,
    hash: Option<&str>,
) -> Result<(User, Vec<Uuid>)> {
    let tx = app.db.begin().await?;
    // Before the user's own row, because whoever locks several locks them by id.
    let admins = if changes.role == Some(Role::User) { lock_admins(&tx).await? } else { Vec::new() };
    let before = lock(&tx, id).await?;
    if admins == [id] {
        return Err(Error::conflict("last_admin", "this is the last administrator; make another one first"));
    }
    let mut user = before.clone();
    if let Some(username) = &changes.username {
        user.username_key = key(username);
        user.username.clone_from(username);
    }
    if let Some(email) = &changes.email {
        user.email_key.clone_from(email);
        user.email.clone_from(email);
    }
    user.password_hash = hash.map_or(user.password_hash, ToOwned::to_owned);
    user.role = changes.role.map_or(user.role, |role| role.as_str().into());
    user.vehicle_number = changes.vehicle_number.clone().unwrap_or(user.vehicle_number);
    user.phone_number = changes.phone_number.clone().unwrap_or(user.phone_number);
    let user = user::ActiveModel::from(user).reset_all().update(&tx).await.map_err(taken)?;
    let ended = if user.role == before.role && user.password_hash == before.password_hash {
        Vec::new()
    } else {
        session::end_all(&tx, app.clock.now(), id).await?
    };
    if before.role == Role::Admin.as_str() && user.role != before.role {
        exports::withdraw_all(&tx, app.clock.now(), id).await?;
    }
    tx.commit().await?;
    Ok((user, ended))
}

/// Changes that follow the rules.
struct Checked {
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
    role: Option<Role>,
    vehicle_number: Option<Option<String>>,
    phone_number: Option<Option<String>>,
}

impl Checked {
    fn of(changes: Changes) -> Result<Self> {
        let mut checks = Checks::default();
        let checked = Self {
            username: changes.username.map(|text| checks.username(&text)),
            email: changes.email.map(|text| checks.email(&text)),
            password: changes.password.map(|text| checks.password(text)),
            role: changes.role.map(|text| checks.role(&text)),
            vehicle_number: changes.vehicle_number.map(|text| checks.vehicle_number(text.as_deref())),
            phone_number: changes.phone_number.map(|text| checks.phone_number(text.as_deref())),
        };
        checks.passed(checked)
    }
}

/// The hash of a password, unless it is the one that the user has.
async fn new_hash(app: &App, id: i64, password: String) -> Result<Option<String>> {
    let user = by_id(app, id).await?;
    if password::verify(password.clone(), Some(user.password_hash)).await? {
        return Ok(None);
    }
    password::hash(password).await.map(Some)
}

/// Of two administrators who take the role from each other at once, the second waits here and is the last.
async fn lock_admins(tx: &Transaction) -> Result<Vec<i64>> {
    let admins = user::Entity::find()
        .filter(user::Column::Role.eq(Role::Admin.as_str()))
        .filter(user::Column::DeletedAt.is_null())
        .order_by_asc(user::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx)
        .await?;
    Ok(admins.iter().map(|admin| admin.id).collect())
}
