//! ETags: 304 for clients that have the current answer, and changes only to what the client has seen.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::platform::cache::Entry;
use utoipa::IntoParams;

/// `If-None-Match`, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; `conditional` reads the headers")]
pub(crate) struct IfNoneMatch {
    /// The `ETag` of the answer that the client has. If it is current, the response is 304 without a body.
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    if_none_match: Option<String>,
}

/// `If-Match`, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; `if_match` reads the headers")]
pub(crate) struct IfMatch {
    /// The `ETag` that was read. If it is no longer current, nothing is changed and the response is 412.
    #[param(rename = "If-Match", value_type = String, required = false)]
    if_match: Option<String>,
}

/// All values of `If-Match`.
pub(crate) fn if_match(headers: &HeaderMap) -> Option<String> {
    let tags: Vec<_> =
        headers.get_all(header::IF_MATCH).iter().map(|tags| tags.to_str().unwrap_or_default()).collect();
    (!tags.is_empty()).then(|| tags.join(","))
}

/// The tag without its quotes, and without what proxies that compress add: `W/` before it, or a suffix such as `-gzip` or `;br`.
fn original(tag: &str) -> &str {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let Some(tag) = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) else { return "" };
    let is_coding = |suffix: &str| suffix.len() > 1 && suffix.bytes().all(|byte| byte.is_ascii_alphabetic());
    match tag.rsplit_once(['-', ';']) {
        Some((tag, suffix)) if is_coding(suffix) => tag.trim_end_matches('-'),
        _ => tag,
    }
}

/// 304 if the client has this ETag, compared weakly (RFC 9110, 13.1.2), otherwise the answer.
pub(crate) fn conditional(headers: &HeaderMap, entry: Entry) -> Response {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    let is_current = tags.any(|tag| tag == "*" || original(tag) == entry.etag.trim_matches('"'));
    let mut response = if is_current {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (json, Body::from(Bytes::from_owner(entry.body))).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&entry.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::original;

    #[test]
    fn tags_survive_proxies_that_compress() {
        for tag in ["7-12-2", "1f2e3d4c5b6a79880123abcd", "5b6a-1"] {
            for found in ["T", "T-gzip", "T--gzip", "T;gzip", "T-br", "T-zstd"] {
                let found = format!("\"{}\"", found.replace('T', tag));
                assert_eq!(original(&found), tag, "{found}");
                assert_eq!(original(&format!("W/{found}")), tag, "W/{found}");
            }
        }
        for text in ["", "W/", "7-12-2", "w/\"7-12-2\"", "\"7-12-2", "\"7-12-2\"-gzip"] {
            assert_eq!(original(text), "", "{text}");
        }
        assert_eq!(original("\"7-12-2-3\""), "7-12-2-3", "a number is no coding");
    }
}
