//! The database: what it is and holds, and emptying it for a demonstration.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    operations::{database_info, reset},
    platform::{config::Environment, db::Engine},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{auth::Admin, body, problem::Answer},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_database_info)).routes(routes!(reset_database))
}

/// The database and its tables.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseInfo {
    msg: &'static str,
    /// `sqlite` or `postgresql`.
    engine: &'static str,
    #[schema(example = "3.46.0")]
    version: String,
    /// The last applied migration.
    schema: Option<String>,
    /// The number of migrations that are not applied yet.
    pending_migrations: usize,
    tables: Vec<TableView>,
}

/// A table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableView {
    #[schema(example = "reservations")]
    name: &'static str,
    rows: i64,
}

/// The confirmation of a reset.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResetDatabase {
    /// `delete all data`.
    #[schema(example = "delete all data")]
    confirm: String,
}

/// What a reset deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResetResult {
    msg: &'static str,
    deleted_rows: u64,
    deleted_files: u64,
    /// Null if Redis was not available.
    cleared_cache_keys: Option<u64>,
    /// `success`.
    #[schema(example = "success")]
    status: &'static str,
}

/// Describe the database.
///
/// Not available in production.
#[utoipa::path(get, path = "/debug/database-info", tag = "admin", responses(
    (status = 200, description = "Engine, schema and tables", body = DatabaseInfo),
    (status = 404, description = "This is a production installation"),
))]
pub(crate) async fn read_database_info(State(app): State<App>, _: Admin) -> Answer<Json<DatabaseInfo>> {
    if app.config.environment == Environment::Production {
        return Err(Error::NotFound("debug information").into());
    }
    let info = database_info::read(&app).await?;
    Ok(Json(DatabaseInfo {
        msg: "database",
        engine: match info.engine {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgresql",
        },
        version: info.version,
        schema: info.schema,
        pending_migrations: info.pending,
        tables: info.tables.into_iter().map(|(name, rows)| TableView { name, rows }).collect(),
    }))
}

/// Delete all data except the administrators.
///
/// Only where the setting `ALLOW_RESET` is true, and never in production.
#[utoipa::path(post, path = "/admin/reset-database", tag = "admin", request_body = ResetDatabase, responses(
    (status = 200, description = "The data is deleted", body = ResetResult),
    (status = 400, description = "The confirmation phrase does not match"),
    (status = 409, description = "A reset is not allowed here"),
))]
pub(crate) async fn reset_database(
    State(app): State<App>,
    Admin(admin): Admin,
    body::Json(body): body::Json<ResetDatabase>,
) -> Answer<Json<ResetResult>> {
    let removed = reset::reset(&app, &(&admin).into(), &body.confirm).await?;
    Ok(Json(ResetResult {
        msg: "all data is deleted",
        deleted_rows: removed.rows,
        deleted_files: removed.files,
        cleared_cache_keys: removed.keys,
        status: "success",
    }))
}
