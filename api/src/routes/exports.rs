//! CSV exports of reservations: request, status, download, history, cancel.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
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
};
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        answers::{Accepted, accepted},
        auth::{Admin, CurrentUser},
        body::OptionalJson,
        fields::optional_integer,
        idempotency::{IdempotencyKey, Once},
        paging::{Linked, PageQuery, Paging},
        params::Path,
        problem::Answer,
    },
    openapi::schemas::optional_instant,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(request_export))
        .routes(routes!(export_status))
        .routes(routes!(download_export))
        .routes(routes!(export_history))
        .routes(routes!(all_exports))
        .routes(routes!(clean_up_exports))
        .routes(routes!(cancel_export))
}

/// Which reservations to export. Every field is optional.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct RequestExport {
    /// Reservations that start at this time or later. A time or day without an offset is in the time zone of the installation.
    #[schema(schema_with = optional_instant)]
    from: Option<String>,
    /// Reservations that start before this time; later than `from`.
    #[schema(schema_with = optional_instant)]
    to: Option<String>,
    /// Reservations of this lot only.
    #[serde(default, deserialize_with = "optional_integer")]
    lot_id: Option<i64>,
    /// Replace names by hashes, and leave out licence plates and transaction ids.
    #[serde(default)]
    anonymise: bool,
    /// `own`, the default, or `all` for everybody's reservations (administrators only).
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
    /// Null unless the file can be downloaded.
    download_url: Option<String>,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    #[serde(with = "wire::option")]
    completed_at: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    expires_at: Option<DateTime<Utc>>,
}

impl ExportView {
    fn new(export: Export, now: DateTime<Utc>) -> Self {
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

/// An export with its owner.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnedExport {
    user_id: i64,
    #[serde(flatten)]
    export: ExportView,
}

/// Exports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exports<T> {
    msg: &'static str,
    exports: Vec<T>,
}

/// Request a CSV file of reservations. An email is sent when it is ready.
#[utoipa::path(post, path = "/export/csv/request", tag = "exports", request_body = Option<RequestExport>, params(IdempotencyKey), responses(
    (status = 202, description = "The task is accepted; `Location` says where to poll it", body = Accepted, headers(("Location"), ("Retry-After"))),
    (status = 400, description = "A field is invalid"),
    (status = 403, description = "Only administrators may export everybody's reservations"),
))]
pub(crate) async fn request_export(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<OptionalJson<RequestExport>>,
) -> Answer<Response> {
    request(&app, &user, once).await
}

/// Handles `/export/csv/request` and `/tasks/export-csv`.
pub(crate) async fn request(
    app: &App,
    user: &Identity,
    once: Once<OptionalJson<RequestExport>>,
) -> Answer<Response> {
    let requested = |id: &Uuid| accepted(*id, "export requested");
    once.answer(app, user.user_id, requested, async |OptionalJson(body), keep| {
        exports::request(app, user, body.checked(app)?, keep).await
    })
    .await
}

/// Read the status of an export.
#[utoipa::path(get, path = "/export/csv/status/{id}", tag = "exports",
    params(("id" = Uuid, Path, description = "Export id")), responses(
    (status = 200, description = "The export", body = OneExport),
    (status = 404, description = "You have no such export"),
))]
pub(crate) async fn export_status(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<Uuid>,
) -> Answer<Json<OneExport>> {
    let export = exports::find(&app, &user, id).await?;
    Ok(Json(OneExport { msg: "export", export: ExportView::new(export, app.clock.now()) }))
}

/// Download the file of a finished export; `Range` is supported.
#[utoipa::path(get, path = "/export/download/{id}", tag = "exports",
    params(("id" = Uuid, Path, description = "Export id")), responses(
    (status = 200, description = "The file", body = String, content_type = "text/csv", headers(("Content-Disposition")), example = json!("reservation_id,lot,parking_time\n7,Main Street,2026-11-21T09:00:00Z\n")),
    (status = 206, description = "A part of the file", body = String, content_type = "text/csv", headers(("Content-Disposition"), ("Content-Range")), example = json!("reservation_id,lot")),
    (status = 404, description = "You have no such export"),
    (status = 409, description = "The file is not ready"),
    (status = 410, description = "The file has expired"),
    (status = 416, description = "The file has no such range"),
))]
pub(crate) async fn download_export(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<Uuid>,
    request: Request,
) -> Answer<Response> {
    let (path, name) = exports::download(&app, &user, id).await?;
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

/// `Content-Disposition` for any name: an ASCII form, and the exact one in UTF-8 (RFC 6266, RFC 8187).
fn attachment(name: &str) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, ENCODED);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

/// List your exports.
#[utoipa::path(get, path = "/export/csv/history", tag = "exports", params(PageQuery<Uuid>), responses(
    (status = 200, description = "Newest first", body = Exports<ExportView>),
))]
pub(crate) async fn export_history(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    paging: Paging<Uuid>,
) -> Answer<Linked<Exports<ExportView>>> {
    let now = app.clock.now();
    let list = exports::history(&app, Some(user.user_id), &paging.page).await?;
    let (next, list) = (list.next(|export| export.id), list.map(|export| ExportView::new(export, now)));
    Ok(paging.answer(next, Exports { msg: "your exports", exports: list.items }))
}

/// List the exports of all users.
#[utoipa::path(get, path = "/export/admin/jobs", tag = "exports", params(PageQuery<Uuid>), responses(
    (status = 200, description = "Newest first", body = Exports<OwnedExport>),
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
        list.map(|export| OwnedExport { user_id: export.user_id, export: ExportView::new(export, now) });
    Ok(paging.answer(next, Exports { msg: "all exports", exports: list.items }))
}

/// Delete the files of expired exports now.
#[utoipa::path(post, path = "/export/admin/cleanup", tag = "exports", params(IdempotencyKey), responses(
    (status = 202, description = "The task is accepted; its result says what was freed", body = Accepted, headers(("Location"), ("Retry-After"))),
))]
pub(crate) async fn clean_up_exports(
    State(app): State<App>,
    Admin(admin): Admin,
    once: Once<OptionalJson<IgnoredAny>>,
) -> Answer<Response> {
    let requested = |id: &Uuid| accepted(*id, "clean-up requested");
    once.answer(&app, admin.user_id, requested, async |_, keep| exports::clean_up(&app, &admin, keep).await)
        .await
}

/// Cancel an export that is not finished.
#[utoipa::path(post, path = "/export/csv/cancel/{id}", tag = "exports",
    params(("id" = Uuid, Path, description = "Export id")), responses(
    (status = 200, description = "The export is cancelled, or will be in a moment", body = OneExport),
    (status = 404, description = "You have no such export"),
    (status = 409, description = "The export has already ended"),
))]
pub(crate) async fn cancel_export(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<Uuid>,
) -> Answer<Json<OneExport>> {
    exports::cancel(&app, &user, id).await?;
    let export = exports::find(&app, &user, id).await?;
    Ok(Json(OneExport { msg: "export cancelled", export: ExportView::new(export, app.clock.now()) }))
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
