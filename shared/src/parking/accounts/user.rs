//! The row of a user: inserting and locking it, and which unique column rejected it.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QuerySelect, sea_query::LockType,
};

use super::account::{Account, normalized};
pub use crate::platform::entities::user::Model as User;
use crate::{
    base::error::{Error, Result},
    platform::{
        db::{Transaction, violates},
        entities::user,
    },
};

pub(super) async fn insert(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    account: Account,
    password_hash: String,
    last_login_at: Option<DateTime<Utc>>,
) -> Result<User> {
    let row = user::ActiveModel {
        username_key: Set(normalized(&account.username)),
        username: Set(account.username),
        email_key: Set(normalized(&account.email)),
        email: Set(account.email),
        password_hash: Set(password_hash),
        role: Set(account.role.as_str().into()),
        vehicle_number: Set(account.vehicle_number),
        phone_number: Set(account.phone_number),
        reminders_off: Set(false),
        reports_off: Set(false),
        last_login_at: Set(last_login_at),
        created_at: Set(now),
        deleted_at: Set(None),
        ..Default::default()
    };
    row.insert(db).await.map_err(conflict)
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

/// Names the unique column that rejected a row.
pub(super) fn conflict(error: DbErr) -> Error {
    const COLUMNS: [(&str, &str, &str); 4] = [
        ("email_key", "email_taken", "this mail address already has an account"),
        ("username_key", "username_taken", "this user name is taken"),
        ("vehicle_number", "vehicle_taken", "this vehicle belongs to another account"),
        ("phone_number", "phone_taken", "this phone number belongs to another account"),
    ];
    COLUMNS
        .into_iter()
        .find(|(column, ..)| violates(&error, &format!("users_{column}_key"), &format!("users.{column}")))
        .map_or_else(|| error.into(), |(_, code, message)| Error::conflict(code, message))
}
