//! Pages for operators: administrators only, as `policy.rs` says.

mod audit;
mod deliveries;
mod health;
mod jobs;
mod lots;
mod reports;
mod today;
mod unpaid;
mod users;

use axum::Router;

use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .merge(today::routes())
        .merge(lots::routes())
        .merge(users::routes())
        .merge(reports::routes())
        .merge(unpaid::routes())
        .merge(jobs::routes())
        .merge(deliveries::routes())
        .merge(audit::routes())
        .merge(health::routes())
}
