//! The row of a user: inserting and locking it.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::LockType,
};

use super::{
    account::{Account, Role},
    conflict::{conflict, email_taken},
    find::lowered,
    plates,
};
pub use crate::platform::entities::user::Model as User;
use crate::{
    base::error::{Error, Result},
    parking::tokens,
    platform::{db::Transaction, entities::user},
};

pub(super) async fn insert(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    account: Account,
    password_hash: String,
    last_login_at: Option<DateTime<Utc>>,
) -> Result<User> {
    if tokens::is_reserved(db, now, &account.email, None).await? {
        return Err(email_taken());
    }
    let name_key = spelling::name_key(&account.username);
    let (role, is_attendant) = account.role.columns();
    let row = user::ActiveModel {
        username_key: Set(name_key.clone().unwrap_or_else(|| lowered(&account.username))),
        name_key: Set(name_key),
        username: Set(account.username),
        email_key: Set(account.email.clone()),
        mail_key: Set(Some(account.email.clone())),
        email: Set(account.email),
        email_verified: Set(account.email_verified),
        unverified_since: Set((!account.email_verified).then_some(now)),
        pending_email: Set(None),
        password_hash: Set(password_hash),
        role: Set(role.into()),
        is_attendant: Set(is_attendant),
        house_lot_id: Set(None),
        vehicle_number: Set(account.vehicle_number.clone()),
        phone_key: Set(account.phone_number.clone()),
        phone_number: Set(account.phone_number),
        phone_verified_at: Set(None),
        reminders_off: Set(false),
        reports_off: Set(false),
        last_login_at: Set(last_login_at),
        created_at: Set(now),
        deleted_at: Set(None),
        ..Default::default()
    };
    let user = row.insert(db).await.map_err(conflict)?;
    if let Some(plate) = &account.vehicle_number {
        plates::insert(db, now, user.id, plate).await?;
    }
    Ok(user)
}

impl User {
    /// The role.
    #[must_use]
    pub fn role(&self) -> Role {
        match (&*self.role, self.is_attendant) {
            ("admin", _) => Role::Admin,
            (_, true) => Role::Attendant,
            _ => Role::User,
        }
    }

    /// What a guess of the password may be made of.
    pub(super) fn known_texts(&self) -> Vec<&str> {
        let texts = [Some(&self.username), Some(&self.email)];
        let texts = texts.into_iter().chain([self.vehicle_number.as_ref(), self.phone_number.as_ref()]);
        texts.flatten().map(String::as_str).collect()
    }
}

/// Locks a user against other changes, bookings and logins. Rows that refer to the user can still be written: a
/// transaction that writes one may hold a lock that this one waits for.
pub(super) async fn lock(tx: &Transaction, id: i64) -> Result<User> {
    user::Entity::find_by_id(id)
        .filter(user::Column::DeletedAt.is_null())
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?
        .ok_or(Error::NotFound("user"))
}
