//! A booking. Table `reservations`.

use sea_orm::entity::prelude::*;

/// A booking.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservations")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    pub lot_id: i64,
    pub spot_id: i64,
    pub state: String,
    pub starts_at: DateTimeUtc,
    pub ends_at: Option<DateTimeUtc>,
    pub arrived_at: Option<DateTimeUtc>,
    pub left_at: Option<DateTimeUtc>,
    pub hourly_rate_minor: i64,
    pub cost_minor: i64,
    pub transaction_id: Option<String>,
    pub payment_method: Option<String>,
    pub created_at: DateTimeUtc,
    /// Of the vehicle it was made for.
    pub plate: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
