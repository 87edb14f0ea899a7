//! Downloads of finished exports, whole and in parts.

use std::path::Path as FilePath;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shared::{
    app::App,
    parking::exports::{self, Download},
};
use tower::ServiceExt;
use tower_http::services::ServeFile;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{auth::CurrentUser, params::Path, problem::Answer, ranges},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(download_export))
}

/// Download the file of a finished export; `Range` is supported.
///
/// One range of bytes is answered with 206. A range outside of the file is a 416; several ranges, other units and malformed
/// ranges are ignored. With `If-Range`, the part is only sent if the file is still the same.
#[utoipa::path(get, path = "/export/download/{id}", tag = "exports",
    params(("id" = Uuid, Path, description = "Export id")), responses(
    (status = 200, description = "The file", content(
        (String = "text/csv", example = json!("reservation id,lot,address\n7,Main Street,\"1, Main Street\"\n")),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ), headers(("Content-Disposition"), ("Accept-Ranges"))),
    (status = 206, description = "A part of the file", content(
        (String = "text/csv", example = json!("reservation id,lot")),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ), headers(("Content-Disposition"), ("Content-Range"), ("Accept-Ranges"))),
    (status = 404, description = "You have no such export"),
    (status = 409, description = "The file is not ready"),
    (status = 410, description = "The file has expired"),
    (status = 416, description = "The file has no such range"),
))]
pub(crate) async fn download_export(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<Uuid>,
    mut request: Request,
) -> Answer<Response> {
    let Download { path, name, format } = exports::download(&app, &user, id).await?;
    if request.headers().contains_key(header::RANGE) {
        settle_range(&path, &mut request).await;
    }
    let mut response = serve(&path, request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if let Ok(disposition) = HeaderValue::from_str(&attachment(&name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if response.status().is_success() {
        let content_type = HeaderValue::from_static(format.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

async fn serve(path: &FilePath, request: Request) -> Response {
    match ServeFile::new(path).oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    }
}

/// Replaces the header `Range` by the range that it means for this file, or removes it.
async fn settle_range(path: &FilePath, request: &mut Request) {
    let mut head = Request::new(Body::empty());
    *head.method_mut() = Method::HEAD;
    let file = serve(path, head).await;
    let size = file.headers().get(header::CONTENT_LENGTH);
    let size = size.and_then(|size| size.to_str().ok()?.parse().ok()).unwrap_or(0);
    let range = ranges::settle(request.method(), request.headers(), file.headers(), size);
    request.headers_mut().remove(header::RANGE);
    if let Some(range) = range {
        request.headers_mut().insert(header::RANGE, range);
    }
}

/// `Content-Disposition` for any name: an ASCII form, and the exact one in UTF-8 (RFC 6266, RFC 8187).
fn attachment(name: &str) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._- ".contains(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, ENCODED);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
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
