//! Pages for people who follow a link. They load nothing and send no referrer.

use axum::{
    http::{HeaderMap, HeaderName, header},
    response::{Html, IntoResponse, Response},
};

/// The type of a page.
pub(crate) const KIND: &str = "text/html; charset=utf-8";

const STYLE: &str = "body{margin:0;padding:24px 12px;background:#edf1f5;font:16px/1.55 sans-serif;color:#24384c}\
    main{max-width:440px;margin:0 auto;padding:28px 26px;border-radius:12px;background:#fff}\
    h1{margin:0 0 12px;font-size:22px;color:#14283d}h2{margin:0 0 4px;font-size:16px}p{margin:0 0 18px}\
    input{width:100%;box-sizing:border-box;padding:10px;font:inherit}\
    button{padding:11px 22px;border:0;border-radius:8px;background:#1257a8;color:#fff;font:600 16px sans-serif}";

/// Whether a browser opens the address, rather than a program that expects JSON.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

/// A page; `content` is HTML.
pub(crate) fn page(title: &str, content: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title} · Parkade</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{content}</main></body></html>\n"
    );
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::VARY, "accept"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    (headers, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_json() {
        let wanted =
            |accept: &str| is_wanted(&[(header::ACCEPT, accept.parse().unwrap())].into_iter().collect());
        assert!(wanted("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(wanted("application/xhtml+xml, Text/HTML;q=0.9"));
        for accept in ["*/*", "application/json", "application/json, text/plain, */*", "text/htmlx", ""] {
            assert!(!wanted(accept), "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
