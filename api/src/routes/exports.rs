//! Exports of reservations as CSV or XLSX: request, status, history, cancel.

use axum::{Json, extract::State, response::Response};
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
    platform::entities::export::Format,
};
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
        .routes(routes!(request_own_data))
        .routes(routes!(export_status))
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
    /// `csv`, the default, for programs, or `xlsx` for people.
    #[schema(pattern = "^(csv|xlsx)$")]
    format: Option<String>,
    /// Begin a CSV file with a byte order mark, by which some spreadsheets recognise UTF-8.
    #[serde(default)]
    bom: bool,
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
        let format = match self.format.as_deref() {
            None => Format::default(),
            Some(name) => Format::OF_RESERVATIONS
                .into_iter()
                .find(|format| format.as_str() == name)
                .ok_or_else(|| Error::invalid("/format", "must be csv or xlsx"))?,
        };
        Ok(exports::Request {
            from: instant("/from", self.from)?,
            until: instant("/to", self.to)?,
            lot_id: self.lot_id,
            anonymise: self.anonymise,
            everyone,
            format,
            bom: self.bom,
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
    /// `csv` or `xlsx`, or `zip` for a copy of all that is stored about a user.
    #[schema(example = "csv")]
    format: &'static str,
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
            format: export.format.as_str(),
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

/// Request a file of reservations.
///
/// An email is sent when it is ready.
///
/// CSV follows RFC 4180, in UTF-8 and with times in UTC. XLSX has dates in the time zone of the installation, amounts as
/// numbers, and ids and plates as text; after 1,048,575 reservations it continues on a further sheet.
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

/// Request a copy of all that is stored about you.
///
/// The file is a ZIP archive with JSON and CSV: account, vehicles, reservations, payments, logins, messages, and security events. It
/// is an export like those of reservations: the same operations show, download and cancel it.
#[utoipa::path(post, path = "/users/me/export", tag = "exports", params(IdempotencyKey), responses(
    (status = 202, description = "The task is accepted; `Location` says where to poll it", body = Accepted, headers(("Location"), ("Retry-After"))),
))]
pub(crate) async fn request_own_data(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    once: Once<OptionalJson<IgnoredAny>>,
) -> Answer<Response> {
    let requested = |id: &Uuid| accepted(*id, "export requested");
    once.answer(&app, user.user_id, requested, async |_, keep| {
        exports::request_own_data(&app, &user, keep).await
    })
    .await
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
