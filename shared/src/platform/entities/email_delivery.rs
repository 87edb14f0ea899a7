//! A message and whether it went. Table `email_deliveries`.

use sea_orm::entity::prelude::*;

/// A message and whether it went.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub kind: String,
    pub channel: String,
    pub user_id: Option<i64>,
    pub job_id: Option<Uuid>,
    pub message_id: String,
    pub state: String,
    pub attempts: i64,
    pub resent: bool,
    pub error: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
