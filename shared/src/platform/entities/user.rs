//! A person who logs in. Table `users`.

use sea_orm::entity::prelude::*;

/// A person who logs in. What the keys are is in `migration/src/m20_vehicles_and_identities.rs`; `username_key` and
/// `email_key` are those of releases before 0.3, with which accounts without the newer ones still log in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub username: String,
    pub username_key: String,
    pub name_key: Option<String>,
    pub email: String,
    pub email_key: String,
    pub mail_key: Option<String>,
    pub email_verified: bool,
    /// Null for accounts that are never removed because of it.
    pub unverified_since: Option<DateTimeUtc>,
    /// The address that replaces `email` once it is verified.
    pub pending_email: Option<String>,
    pub password_hash: String,
    /// `user` or `admin`.
    pub role: String,
    /// Whether the user, whose role is `user`, is an attendant.
    pub is_attendant: bool,
    /// The lot for whose cars without accounts this account stands.
    pub house_lot_id: Option<i64>,
    pub vehicle_number: Option<String>,
    pub phone_number: Option<String>,
    pub phone_key: Option<String>,
    pub phone_verified_at: Option<DateTimeUtc>,
    pub reminders_off: bool,
    pub reports_off: bool,
    pub last_login_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub deleted_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
