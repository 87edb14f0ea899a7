//! Is it there, is it ready, and the greeting at the root.

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use shared::app::App;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::problem::Answer;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

pub(crate) fn root() -> Router<App> {
    Router::new().route("/", get(greet))
}

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    msg: &'static str,
    status: &'static str,
}

async fn greet() -> Json<Health> {
    Json(Health { msg: "Parkade is running; its API is under /api", status: "ok" })
}

/// The process runs.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn live() -> Json<Health> {
    Json(Health { msg: "alive", status: "ok" })
}

/// The process can do its work: the database answers. Redis may be away.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "The database is away"),
))]
pub(crate) async fn ready(State(app): State<App>) -> Answer<Json<Health>> {
    app.db.ping().await?;
    Ok(Json(Health { msg: "ready", status: "ok" }))
}
