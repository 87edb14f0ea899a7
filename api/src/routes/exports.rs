//! CSV exports: request, follow, download, look back, cancel.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use shared::{
    Error, Result,
    app::App,
    base::{
        identity::Identity,
        time::{self, wire},
    },
    jobs::JobState,
    parking::exports::{self, Export, Stage},
    platform::idempotency::StoredAnswer,
};
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        auth::{Admin, CurrentUser},
        extract::{OptionalJson, Path, optional_whole},
        idempotency::{IdempotencyKey, Once, reply},
        paging::{Linked, PageQuery, Paging},
        problem::Answer,
    },
    routes::schemas::optional_instant,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(request_export))
        .routes(routes!(export_status))
        .routes(routes!(download_export))
        .routes(routes!(export_history))
        .routes(routes!(all_exports))
        .routes(routes!(clean_up_exports))
        .routes(routes!(cancel_export))
}

/// What the file is to hold; everything may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct RequestExport {
    /// Reservations that begin then or later; a local time or day of the application's zone, or with an offset.
    #[schema(schema_with = optional_instant)]
    from: Option<String>,
    /// Reservations that begin before then; later than `from`.
    #[schema(schema_with = optional_instant)]
    to: Option<String>,
    /// Of this lot only.
    #[serde(default, deserialize_with = "optional_whole")]
    lot_id: Option<i64>,
    /// Hashes instead of names, no plates and no transaction ids.
    #[serde(default)]
    anonymise: bool,
    /// `all` for everybody's reservations (administrators), `own` otherwise.
    #[schema(pattern = "^(own|all)$")]
    scope: Option<String>,
}

impl RequestExport {
    fn checked(self, app: &App) -> Result<exports::Request> {
        let instant = |pointer: &str, text: Option<String>| {
            let read = |text: String| {
                time::parse(&text, app.config.zone).map_err(|why| Error::invalid(pointer, why))
            };
            text.map(read).transpose()
        };
        let everyone = match self.scope.as_deref() {
            None | Some("own") => false,
            Some("all") => true,
            Some(_) => return Err(Error::invalid("/scope", "must be own or all")),
        };
        Ok(exports::Request {
            from: instant("/from", self.from)?,
            until: instant("/to", self.to)?,
            lot_id: self.lot_id,
            anonymise: self.anonymise,
            everyone,
        })
    }
}

/// Work that has been asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    msg: &'static str,
    message: &'static str,
    task_id: Uuid,
    job_id: Uuid,
    #[schema(example = "processing")]
    status: &'static str,
}

/// The answer to a request for work in the background: where to look, and when.
pub(crate) fn accepted(id: Uuid, msg: &'static str) -> Result<StoredAnswer> {
    let message = "the work is done in the background; poll the task";
    let body = Accepted { msg, message, task_id: id, job_id: id, status: "processing" };
    let kept = reply(StatusCode::ACCEPTED, &body)?;
    Ok(StoredAnswer { headers: Some(format!("/api/tasks/{id}")), ..kept })
}

/// An export.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportView {
    job_id: Uuid,
    task_id: Uuid,
    /// `pending`, `processing`, `completed`, `failed`, `cancelled` or `expired`.
    #[schema(example = "completed")]
    status: &'static str,
    current: i64,
    total: i64,
    file_name: Option<String>,
    rows: Option<i64>,
    bytes: Option<i64>,
    sha256: Option<String>,
    /// While there is a file.
    download_url: Option<String>,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    #[serde(with = "wire::option")]
    completed_at: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    expires_at: Option<DateTime<Utc>>,
}

impl ExportView {
    fn of(export: Export, now: DateTime<Utc>) -> Self {
        let stage = export.stage(now);
        Self {
            job_id: export.id,
            task_id: export.id,
            status: match stage {
                Stage::Underway(JobState::Queued) => "pending",
                Stage::Underway(_) => "processing",
                Stage::Ready => "completed",
                Stage::Expired => "expired",
                Stage::Failed => "failed",
                Stage::Cancelled => "cancelled",
            },
            current: export.progress_current.max(export.row_count.unwrap_or(0)),
            total: export.progress_total.max(export.row_count.unwrap_or(0)),
            file_name: export.file_name,
            rows: export.row_count,
            bytes: export.byte_count,
            sha256: export.sha256,
            download_url: (stage == Stage::Ready).then(|| exports::download_url(export.id)),
            created_at: export.created_at,
            completed_at: export.ready_at,
            expires_at: export.expires_at,
        }
    }
}

/// One export.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneExport {
    msg: &'static str,
    export: ExportView,
}

/// An export and whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnedExport {
    user_id: i64,
    #[serde(flatten)]
    export: ExportView,
}

/// A list of exports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exports<T> {
    msg: &'static str,
    exports: Vec<T>,
}

/// Ask for a CSV file of reservations. A mail says when it is there.
#[utoipa::path(post, path = "/export/csv/request", tag = "exports", security(("bearer" = [])), request_body = Option<RequestExport>, params(IdempotencyKey), responses(
    (status = 202, description = "Follow the task", body = Accepted, headers(("Location"), ("Retry-After"))),
    (status = 400, description = "A field is wrong"),
    (status = 403, description = "Everybody's reservations are for administrators"),
))]
pub(crate) async fn request_export(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    once: Once<OptionalJson<RequestExport>>,
) -> Answer<Response> {
    request(&app, &who, once).await
}

/// What `/export/csv/request` and `/tasks/export-csv` both do.
pub(crate) async fn request(
    app: &App,
    who: &Identity,
    once: Once<OptionalJson<RequestExport>>,
) -> Answer<Response> {
    let requested = |id: &Uuid| accepted(*id, "export requested");
    once.answer(app, who.user_id, requested, async |OptionalJson(body), keep| {
        exports::request(app, who, body.checked(app)?, keep).await
    })
    .await
}

/// Where an export stands.
#[utoipa::path(get, path = "/export/csv/status/{id}", tag = "exports", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The export")), responses(
    (status = 200, description = "The export", body = OneExport),
    (status = 404, description = "You have no such export"),
))]
pub(crate) async fn export_status(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<Uuid>,
) -> Answer<Json<OneExport>> {
    let export = exports::find(&app, &who, id).await?;
    Ok(Json(OneExport { msg: "export", export: ExportView::of(export, app.clock.now()) }))
}

/// The file of a finished export, whole or by `Range`.
#[utoipa::path(get, path = "/export/download/{id}", tag = "exports", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The export")), responses(
    (status = 200, description = "The file", body = String, content_type = "text/csv", headers(("Content-Disposition")), example = json!("reservation_id,lot,parking_time\n7,Main Street,2026-11-21T09:00:00Z\n")),
    (status = 206, description = "A part of the file", body = String, content_type = "text/csv", headers(("Content-Disposition"), ("Content-Range")), example = json!("reservation_id,lot")),
    (status = 404, description = "You have no such export"),
    (status = 409, description = "There is no file yet"),
    (status = 410, description = "The file has expired"),
    (status = 416, description = "The file has no such range"),
))]
pub(crate) async fn download_export(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<Uuid>,
    request: Request,
) -> Answer<Response> {
    let (path, name) = exports::download(&app, &who, id).await?;
    let mut response = match ServeFile::new(path).oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if let Ok(disposition) = HeaderValue::from_str(&attachment(&name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if response.status().is_success() {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    }
    Ok(response)
}

/// `Content-Disposition` for any name (RFC 6266, RFC 8187): a plain form, and the exact one in UTF-8.
fn attachment(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' }).collect();
    let exact = name.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => text + &char::from(byte).to_string(),
        _ => format!("{text}%{byte:02X}"),
    });
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

/// List your exports.
#[utoipa::path(get, path = "/export/csv/history", tag = "exports", security(("bearer" = [])), params(PageQuery<Uuid>), responses(
    (status = 200, description = "The newest first", body = Exports<ExportView>),
))]
pub(crate) async fn export_history(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    paging: Paging<Uuid>,
) -> Answer<Linked<Exports<ExportView>>> {
    let now = app.clock.now();
    let list = exports::history(&app, Some(who.user_id), &paging.page).await?;
    let (next, list) = (list.next(|export| export.id), list.map(|export| ExportView::of(export, now)));
    Ok(paging.answer(next, Exports { msg: "your exports", exports: list.items }))
}

/// List everybody's exports.
#[utoipa::path(get, path = "/export/admin/jobs", tag = "exports", security(("bearer" = ["admin"])), params(PageQuery<Uuid>), responses(
    (status = 200, description = "The newest first", body = Exports<OwnedExport>),
))]
pub(crate) async fn all_exports(
    State(app): State<App>,
    _: Admin,
    paging: Paging<Uuid>,
) -> Answer<Linked<Exports<OwnedExport>>> {
    let now = app.clock.now();
    let list = exports::history(&app, None, &paging.page).await?;
    let next = list.next(|export| export.id);
    let list =
        list.map(|export| OwnedExport { user_id: export.user_id, export: ExportView::of(export, now) });
    Ok(paging.answer(next, Exports { msg: "all exports", exports: list.items }))
}

/// Remove the files of expired exports now.
#[utoipa::path(post, path = "/export/admin/cleanup", tag = "exports", security(("bearer" = ["admin"])), params(IdempotencyKey), responses(
    (status = 202, description = "Follow the task; its result says what was freed", body = Accepted, headers(("Location"), ("Retry-After"))),
))]
pub(crate) async fn clean_up_exports(
    State(app): State<App>,
    Admin(who): Admin,
    once: Once<OptionalJson<IgnoredAny>>,
) -> Answer<Response> {
    let requested = |id: &Uuid| accepted(*id, "clean-up requested");
    once.answer(&app, who.user_id, requested, async |_, keep| exports::clean_up(&app, &who, keep).await).await
}

/// Give up an export that is not finished.
#[utoipa::path(post, path = "/export/csv/cancel/{id}", tag = "exports", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The export")), responses(
    (status = 200, description = "It ends", body = OneExport),
    (status = 404, description = "You have no such export"),
    (status = 409, description = "It has ended already"),
))]
pub(crate) async fn cancel_export(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<Uuid>,
) -> Answer<Json<OneExport>> {
    exports::cancel(&app, &who, id).await?;
    let export = exports::find(&app, &who, id).await?;
    Ok(Json(OneExport { msg: "export cancelled", export: ExportView::of(export, app.clock.now()) }))
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn any_file_name_is_safe_in_the_header() {
        assert_eq!(
            attachment("a \"b\"\r\n東.csv"),
            "attachment; filename=\"a _b____.csv\"; filename*=UTF-8''a%20%22b%22%0D%0A%E6%9D%B1.csv"
        );
    }
}
