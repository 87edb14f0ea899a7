//! The table is complete, and unknown paths get the default rules.

use super::*;

#[test]
fn every_row_is_found_at_both_addresses() {
    for row in ROUTES.iter().chain(UNDOCUMENTED) {
        let path = row.path.replace(['{', '}'], "");
        let method: Method = row.method.parse().unwrap();
        for path in [path.clone(), format!("/api{path}")] {
            let found = find(&method, &path);
            assert_eq!((found.method, found.path), (row.method, row.path), "{path}");
        }
    }
}

#[test]
fn only_public_routes_are_unlimited() {
    assert!(ROUTES.iter().all(|row| row.rate_limit.is_some() || row.access == Public));
}

#[test]
fn other_methods_and_paths_get_the_default_rules() {
    let head = find(&Method::HEAD, "/users");
    assert_eq!((head.method, head.access, head.writes), ("GET", Admin, false));
    let wrong_method = find(&Method::PATCH, "/api/users");
    assert_eq!((wrong_method.path, wrong_method.access, wrong_method.writes), ("/users", Public, true));
    for (path, label) in [
        ("/nowhere", ""),
        ("/api/docs", ""),
        ("/api/", "/api"),
        ("/api/openapi.json", ""),
        ("/docs/", "/docs"),
        ("/", "/"),
    ] {
        assert_eq!(find(&Method::GET, path).path, label, "{path}");
    }
}

#[test]
fn pages_have_one_address() {
    for row in PAGES {
        let path = row.path.replace(['{', '}'], "");
        let method: Method = row.method.parse().unwrap();
        assert_eq!(find(&method, &path).path, row.path);
        let elsewhere = find(&method, &format!("/api{path}"));
        assert!(!elsewhere.is_known() && !elsewhere.is_page, "{path}");
    }
    assert!(find(&Method::GET, "/ui/nowhere").is_page && find(&Method::DELETE, "/ui/login").is_page);
}
