//! The integrity check of the data.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{app::App, operations::integrity};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{auth::Admin, problem::Answer},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(check_integrity))
}

/// The result of the integrity check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Integrity {
    msg: &'static str,
    /// Whether the data satisfies every rule.
    ok: bool,
    checks: Vec<CheckView>,
}

/// A rule about the data.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckView {
    rule: &'static str,
    ok: bool,
    /// The first hundred rows that violate the rule.
    offenders: Vec<String>,
}

/// Check the integrity of the data.
#[utoipa::path(get, path = "/admin/integrity", tag = "admin", responses(
    (status = 200, description = "Every rule, and the rows that violate it", body = Integrity),
))]
pub(crate) async fn check_integrity(State(app): State<App>, _: Admin) -> Answer<Json<Integrity>> {
    let checks = integrity::check(&app).await?.into_iter().map(|check| CheckView {
        rule: check.rule,
        ok: check.offenders.is_empty(),
        offenders: check.offenders,
    });
    let checks: Vec<_> = checks.collect();
    let ok = checks.iter().all(|check| check.ok);
    Ok(Json(Integrity { msg: if ok { "the data is sound" } else { "the data is not sound" }, ok, checks }))
}
