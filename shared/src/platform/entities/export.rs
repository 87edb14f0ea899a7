//! A CSV export. Table `exports`.

use sea_orm::entity::prelude::*;

/// A CSV export.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "exports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: i64,
    pub everyone: bool,
    pub from_at: Option<DateTimeUtc>,
    pub until_at: Option<DateTimeUtc>,
    pub lot_id: Option<i64>,
    pub anonymise: bool,
    pub file_name: Option<String>,
    pub row_count: Option<i64>,
    pub byte_count: Option<i64>,
    pub sha256: Option<String>,
    pub created_at: DateTimeUtc,
    pub ready_at: Option<DateTimeUtc>,
    pub expires_at: Option<DateTimeUtc>,
    pub removed_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
