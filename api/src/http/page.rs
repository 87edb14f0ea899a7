//! Whether an answer is, or should be, a page.

use axum::http::{HeaderMap, header};

/// The type of a page.
pub(crate) const KIND: &str = "text/html; charset=utf-8";

/// Whether a browser opens the address, rather than a program that expects JSON.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
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
