//! Exports of a driver's own stays, followed live while they are made.

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use shared::{
    app::App,
    base::page::Page,
    parking::exports::{self, Export, Stage},
    platform::{entities::export::Format, idempotency::Idempotency},
};
use uuid::Uuid;

use super::{
    form::Form,
    views::ROWS,
    visitor::{Visitor, see},
};
use crate::{
    http::{auth::CurrentUser, cookies::Cookie, params::Path, problem::Answer},
    routes::{export_file, task_events},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/exports", get(list).post(request))
        .route("/ui/exports/{id}", get(show))
        .route("/ui/exports/{id}/events", get(events))
        .route("/ui/exports/{id}/file", get(download))
        .route("/ui/exports/{id}/cancel", post(cancel))
}

fn view(visitor: &Visitor, export: &Export, now: DateTime<Utc>) -> Value {
    let stage = export.stage(now);
    let stage_name = match stage {
        Stage::Underway(_) => "underway",
        Stage::Ready => "ready",
        Stage::Expired => "expired",
        Stage::Failed => "failed",
        Stage::Cancelled => "cancelled",
    };
    let total = export.progress_total;
    let percent = if total > 0 { (100 * export.progress_current / total).clamp(0, 100) } else { 0 };
    context! {
        id => export.id.to_string(), stage => stage_name, format => export.format.as_str(), percent,
        rows => export.row_count, kilobytes => export.byte_count.map(|bytes| (bytes + 1023) / 1024),
        requested => visitor.instant(export.created_at), expires => export.expires_at.map(|at| visitor.instant(at)),
    }
}

async fn page(app: &App, visitor: &Visitor) -> shared::Result<Value> {
    let now = app.clock.now();
    let page = Page { limit: ROWS, after: None };
    let list = exports::history(app, Some(visitor.user()?.user_id), &page).await?;
    let rows: Vec<Value> = list.items.iter().map(|export| view(visitor, export, now)).collect();
    Ok(context! { rows })
}

async fn list(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    visitor.page("exports.html", page(&app, &visitor).await?)
}

async fn request(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let user = visitor.user()?;
    let format = Format::OF_RESERVATIONS
        .into_iter()
        .find(|format| format.as_str() == form.text("format"))
        .unwrap_or_default();
    let wanted = exports::Request { format, bom: format == Format::Csv, ..exports::Request::default() };
    match exports::request(&app, &user, wanted, Idempotency::none()).await {
        Ok(id) => Ok(see(&format!("/ui/exports/{id}"))),
        Err(error) => visitor.rejected("exports.html", error, &form, page(&app, &visitor).await?),
    }
}

async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<Uuid>) -> Answer<Response> {
    let export = exports::find(&app, &visitor.user()?, id).await?;
    visitor.page("export.html", context! { e => view(&visitor, &export, app.clock.now()) })
}

/// The same events as those of the API, for the session of the cookie.
async fn events(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Answer<Response> {
    let token = Cookie::Session.read(&headers, &state.app.config).unwrap_or_default().to_owned();
    task_events::follow(state, visitor.user()?, token, id, &headers).await
}

async fn download(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
    request: Request,
) -> Answer<Response> {
    export_file::download_export(State(app), CurrentUser(visitor.user()?), Path(id), request).await
}

async fn cancel(State(app): State<App>, visitor: Visitor, Path(id): Path<Uuid>) -> Answer<Response> {
    exports::cancel(&app, &visitor.user()?, id).await?;
    Ok(see(&format!("/ui/exports/{id}")))
}
