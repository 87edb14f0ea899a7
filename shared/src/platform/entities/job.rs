//! A job of the ledger. Table `jobs`.

use sea_orm::entity::prelude::*;

/// A job of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub queue: String,
    pub payload: String,
    pub unique_key: Option<String>,
    pub owner_id: Option<i64>,
    pub state: String,
    pub attempt: i64,
    pub max_attempts: i64,
    pub crashes: i64,
    pub run_at: DateTimeUtc,
    pub worker: Option<String>,
    pub lease_token: Option<Uuid>,
    pub lease_until: Option<DateTimeUtc>,
    pub cancel_requested: bool,
    pub progress_current: i64,
    pub progress_total: i64,
    pub result: Option<String>,
    pub error: Option<String>,
    pub trace: Option<String>,
    pub created_at: DateTimeUtc,
    pub started_at: Option<DateTimeUtc>,
    pub finished_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
