//! The rows of the table `jobs`, as sea-orm model.

#![expect(missing_docs, reason = "columns are documented where the tables are defined")]

use sea_orm::entity::prelude::*;

use crate::{base::error::Result, jobs::state::JobState, platform::db::Db};

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
    pub state: JobState,
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
    pub held: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The row of a job.
pub async fn find(db: &Db, id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id).one(db.read()).await?)
}

/// The rows of several jobs, in no particular order.
pub async fn find_all(db: &Db, ids: &[Uuid]) -> Result<Vec<Model>> {
    let mut rows = Vec::with_capacity(ids.len());
    for some in ids.chunks(1_000) {
        let query = Entity::find().filter(Column::Id.is_in(some.iter().copied()));
        rows.extend(query.all(db.read()).await?);
    }
    Ok(rows)
}
