//! The state of the installation: its services, and the rules that its data must keep.

use std::time::Instant;

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use serde::Deserialize;
use shared::{app::App, operations::integrity};

use super::super::visitor::Visitor;
use crate::{
    http::{params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin/health", get(show))
}

fn service(name: &str, begun: Instant, is_available: bool) -> Value {
    context! { name, is_available, milliseconds => begun.elapsed().as_secs_f64() * 1000.0 }
}

/// The rules are checked on request, because that reads all reservations.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    check: String,
}

async fn show(State(app): State<App>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Answer<Response> {
    let begun = Instant::now();
    let database = app.db.ping().await.is_ok();
    let database = service("database", begun, database);
    let begun = Instant::now();
    let redis = service("redis", begun, app.redis.ping().await.is_ok());
    let is_checked = !wanted.check.is_empty();
    let checks = if is_checked { integrity::check(&app).await? } else { Vec::new() };
    let checks: Vec<Value> = (checks.iter())
        .map(|check| context! { rule => check.rule, offenders => check.offenders.len(), first => check.offenders.first() })
        .collect();
    let config = &app.config;
    let values = context! {
        services => vec![database, redis], is_checked, checks, version => env!("CARGO_PKG_VERSION"),
        zone => config.zone.name(), currency => config.currency.code(), url => &config.public_url,
    };
    visitor.page("admin/health.html", values)
}
