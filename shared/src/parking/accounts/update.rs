//! Changes to an account, by its user or an administrator.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType,
};
use serde_json::json;

use super::{
    account::{Role, Validator, normalized},
    find::by_id,
    password, session,
    user::{self, User},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        audit::{self, Action, Object},
        exports,
    },
    platform::{
        cache::Group,
        db::{Transaction, retry_on_conflict},
        entities,
    },
};

/// The new values of an account; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The name.
    pub username: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// The password, in clear text.
    pub password: Option<String>,
    /// `user` or `admin`; ignored unless an administrator makes the change.
    pub role: Option<String>,
    /// The vehicle; none or a blank one removes it.
    pub vehicle_number: Option<Option<String>>,
    /// The phone number; none or a blank one removes it.
    pub phone_number: Option<Option<String>>,
}

/// Changes a user. A new password or role ends all their sessions.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] with every invalid field; [`Error::Conflict`] if a value is taken, or no
/// administrator would remain.
pub async fn update(app: &App, who: &Identity, id: i64, changes: Changes) -> Result<User> {
    let role = changes.role.filter(|_| who.is_admin);
    let changes = ValidChanges::of(Changes { role, ..changes })?;
    let hash = match &changes.password {
        Some(password) => new_hash(app, id, password.clone()).await?,
        None => None,
    };
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let now = app.clock.now();
        // Before the user's own row, because whoever locks several rows locks them by id.
        let admins = match changes.role {
            Some(Role::User) => lock_admins(change.tx()).await?,
            _ => Vec::new(),
        };
        let before = user::lock(change.tx(), id).await?;
        if admins == [id] {
            return Err(Error::conflict(
                "last_admin",
                "this is the last administrator; appoint another one first",
            ));
        }
        let row = entities::user::ActiveModel::from(changes.apply(before.clone(), hash.as_deref()));
        let user = row.reset_all().update(change.tx()).await.map_err(user::conflict)?;
        if user.role != before.role || user.password_hash != before.password_hash {
            session::end_all(&mut change, now, id).await?;
        }
        if user.role != before.role {
            let (by, details) = (who.into(), json!({ "from": before.role, "to": user.role }));
            audit::record(change.tx(), now, &by, Action::RoleChanged, Object::User(id), &details).await?;
        }
        if before.role == Role::Admin.as_str() && user.role != before.role {
            exports::withdraw_all(change.tx(), now, id).await?;
        }
        change.invalidates([Group::Users, Group::User(id)]);
        change.commit().await?;
        Ok(user)
    })
    .await
}

struct ValidChanges {
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
    role: Option<Role>,
    vehicle_number: Option<Option<String>>,
    phone_number: Option<Option<String>>,
}

impl ValidChanges {
    fn of(changes: Changes) -> Result<Self> {
        let mut validator = Validator::default();
        let valid = Self {
            username: changes.username.map(|text| validator.username(&text)),
            email: changes.email.map(|text| validator.email(&text)),
            password: changes.password.map(|text| validator.password(text)),
            role: changes.role.map(|text| validator.role(&text)),
            vehicle_number: changes.vehicle_number.map(|text| validator.vehicle_number(text.as_deref())),
            phone_number: changes.phone_number.map(|text| validator.phone_number(text.as_deref())),
        };
        validator.finish(valid)
    }

    fn apply(&self, mut user: User, hash: Option<&str>) -> User {
        if let Some(username) = &self.username {
            user.username_key = normalized(username);
            user.username.clone_from(username);
        }
        if let Some(email) = &self.email {
            user.email_key.clone_from(email);
            user.email.clone_from(email);
        }
        User {
            password_hash: hash.map_or(user.password_hash, ToOwned::to_owned),
            role: self.role.map_or(user.role, |role| role.as_str().into()),
            vehicle_number: self.vehicle_number.clone().unwrap_or(user.vehicle_number),
            phone_number: self.phone_number.clone().unwrap_or(user.phone_number),
            ..user
        }
    }
}

/// The hash of a password, or `None` if it is the user's current one.
async fn new_hash(app: &App, id: i64, password: String) -> Result<Option<String>> {
    let user = by_id(app, id).await?;
    if password::verify(password.clone(), Some(user.password_hash)).await? {
        return Ok(None);
    }
    password::hash(password).await.map(Some)
}

/// Locks all administrators, so that of two who demote each other at the same time the second finds itself the last.
async fn lock_admins(tx: &Transaction) -> Result<Vec<i64>> {
    use entities::user::{Column, Entity};

    let admins = Entity::find()
        .filter(Column::Role.eq(Role::Admin.as_str()))
        .filter(Column::DeletedAt.is_null())
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx)
        .await?;
    Ok(admins.iter().map(|admin| admin.id).collect())
}
