//! For whoever runs the place: is the data sound, and what is in the database.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{
    Error,
    app::App,
    operations::{database_info, integrity},
    platform::{config::Environment, db::Engine},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{auth::Admin, problem::Answer};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(check_integrity)).routes(routes!(read_database_info))
}

/// The state of the data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Integrity {
    msg: &'static str,
    /// Whether every rule holds.
    ok: bool,
    checks: Vec<CheckView>,
}

/// A rule about the data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    rule: &'static str,
    ok: bool,
    /// Rows that break it, the first hundred.
    offenders: Vec<String>,
}

/// What the database is and holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatabaseInfo {
    msg: &'static str,
    /// `sqlite` or `postgresql`.
    engine: &'static str,
    #[schema(example = "3.46.0")]
    version: String,
    /// The last migration that was applied.
    schema: Option<String>,
    /// Migrations that are still to be applied.
    pending_migrations: usize,
    tables: Vec<TableView>,
}

/// A table and how many rows it has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TableView {
    #[schema(example = "reservations")]
    name: &'static str,
    rows: i64,
}

/// Check that the data is sound.
#[utoipa::path(get, path = "/admin/integrity", tag = "admin", security(("bearer" = ["admin"])), responses(
    (status = 200, description = "Every rule, and what breaks it", body = Integrity),
))]
pub(crate) async fn check_integrity(State(app): State<App>, _: Admin) -> Answer<Json<Integrity>> {
    let checks: Vec<CheckView> = integrity::check(&app)
        .await?
        .into_iter()
        .map(|check| CheckView {
            rule: check.rule,
            ok: check.offenders.is_empty(),
            offenders: check.offenders,
        })
        .collect();
    let ok = checks.iter().all(|check| check.ok);
    Ok(Json(Integrity { msg: if ok { "the data is sound" } else { "the data is not sound" }, ok, checks }))
}

/// Describe the database; not in production.
#[utoipa::path(get, path = "/debug/database-info", tag = "admin", security(("bearer" = ["admin"])), responses(
    (status = 200, description = "Engine, schema and tables", body = DatabaseInfo),
    (status = 404, description = "This is production"),
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
