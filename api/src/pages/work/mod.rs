//! Pages for people at the barrier: attendants at the lots that are assigned to them, and administrators at all.

mod live;
mod lots;
mod stays;

use axum::Router;

use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().merge(lots::routes()).merge(stays::routes()).merge(live::routes())
}
