//! Forged forms, stolen and planted cookies, links that lead elsewhere, and texts that want to be HTML.

use std::sync::Arc;

use api::{http::policy::PAGES, site::assets};
use reqwest::Method;
use serde_json::json;
use shared::base::clock::Clock;
use testkit::{PASSWORD, TestApp};

use super::browser::{Browser, Page};
use crate::{
    hostile::{HOSTILE, stays},
    support::noon,
};

#[testkit::both_databases]
async fn forms_without_their_token_are_refused(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(3).await;
    let path = format!("/ui/lots/{lot}/book");
    let foreign = Browser::of(&t, &ravi).get("/ui/lots").await.token();
    let anonymous = Browser::new(&t).get("/ui/login").await.token();
    let mut browser = Browser::of(&t, &asha);
    for token in ["", "0", "zz", &foreign, &anonymous, &foreign[..62]] {
        let refused = browser.post(&path, &[("csrf", token)]).await.expect(403);
        refused.has("This form has expired");
    }
    browser.post(&path, &[]).await.expect(403);
    let mut stranger = Browser::new(&t);
    for token in ["", &foreign, &anonymous] {
        let fields = [("email", &*asha.email), ("password", PASSWORD), ("csrf", token)];
        stranger.post("/ui/login", &fields).await.expect(403);
        assert!(!stranger.cookies.contains_key("parkade_session"));
    }
    let running = t.get("/users/me/reservations", Some(&asha)).await.expect(200);
    assert_eq!(running.body["reservations"], json!([]));
    assert_eq!(browser.submit("/ui/lots", &path, &[]).await.leads_to(), "/ui/parking?done=booked");
}

#[testkit::both_databases]
async fn cookies_are_flagged_and_sessions_new_at_login(t: TestApp) {
    let asha = t.driver("Asha").await;
    let mut browser = Browser::of(&t, &asha);
    browser.cookies.insert("parkade_visitor".into(), "planted".into());
    browser.cookies.remove("parkade_session");
    let page = browser.log_in(&asha.email).await;
    assert_eq!(page.leads_to(), "/ui");
    let line = page.headers["set-cookie"].to_str().unwrap();
    for flag in ["parkade_session=", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(line.contains(flag), "{line}");
    }
    assert!(!line.contains("Secure") && !browser.cookies.contains_key("parkade_visitor"));
    let first = browser.cookies["parkade_session"].clone();
    assert_ne!(first, asha.token);
    // Another login, with the first session still in the cookie, ends it.
    let token = browser.get("/ui/lots").await.token();
    let fields = [("email", &*asha.email), ("password", PASSWORD), ("csrf", &*token)];
    browser.post("/ui/login", &fields).await.leads_to();
    assert_ne!(browser.cookies["parkade_session"], first);
    browser.cookies.insert("parkade_session".into(), first);
    assert!(browser.get("/ui/parking").await.leads_to().starts_with("/ui/login"));
}

#[testkit::both_databases]
async fn over_tls_cookies_belong_to_this_host(t: TestApp) {
    let t =
        t.with(|app| Arc::make_mut(&mut app.config).public_url = "https://parking.example.com".into()).await;
    let asha = t.driver("Asha").await;
    let mut browser = Browser::new(&t);
    let page = browser.log_in(&asha.email).await;
    let line = page.headers["set-cookie"].to_str().unwrap();
    assert!(line.starts_with("__Host-parkade_session=") && line.ends_with("; Secure"), "{line}");
    // A cookie without the prefix, which a neighbouring host could set, is not read.
    let mut plain = Browser::of(&t, &asha);
    assert!(plain.get("/ui/parking").await.leads_to().starts_with("/ui/login"));
    browser.get("/ui/parking").await.expect(200);
}

#[testkit::both_databases]
async fn a_cookie_is_no_login_for_the_api(t: TestApp) {
    let admin = t.admin().await;
    for path in ["/users", "/auth/sessions", "/admin/jobs", "/reports"] {
        let cookie = format!("parkade_session={}", admin.token);
        let request = t.request(Method::GET, path, None).header("cookie", cookie);
        t.send(request).await.problem(401, "unauthenticated");
    }
    // And a header is none for the pages.
    let mut browser = Browser::new(&t);
    assert!(browser.get("/ui/admin").await.leads_to().starts_with("/ui/login"));
    let page = t.get("//ui/parking", Some(&admin)).await;
    assert!(page.text.contains("Log in"), "{}", page.text);
    assert_eq!(t.get("//api/ui/login", None).await.status, 404, "pages have one address");
}

#[testkit::both_databases]
async fn logins_lead_to_pages_of_ours_only(t: TestApp) {
    let asha = t.driver("Asha").await;
    for (next, expected) in [
        ("/ui/lots/1?from=2026-11-20T12:00", "/ui/lots/1?from=2026-11-20T12:00"),
        ("https://evil.example/ui", "/ui"),
        ("//evil.example", "/ui"),
        ("/ui//evil.example", "/ui"),
        ("/ui\\@evil.example", "/ui"),
        ("/api/docs", "/ui"),
    ] {
        let mut browser = Browser::new(&t);
        let fields = [("email", &*asha.email), ("password", PASSWORD), ("next", next)];
        assert_eq!(browser.submit("/ui/login", "/ui/login", &fields).await.leads_to(), expected, "{next}");
        let fields = [("lang", "de"), ("next", next)];
        assert_eq!(browser.submit("/ui/lots", "/ui/language", &fields).await.leads_to(), expected, "{next}");
    }
}

/// The headers of every page.
#[track_caller]
pub(super) fn is_protected(path: &str, page: &Page) {
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
        "{path}: {policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.headers[name], value, "{path}: {name}");
    }
    for forbidden in ["<style", " style=", " onclick=", "<script>", "http://", "javascript:"] {
        let text = page.text.replace("http://www.w3.org", "").replace("http://127.0.0.1:5000", "");
        assert!(!text.contains(forbidden), "{path} has {forbidden}");
    }
}

#[testkit::both_databases]
async fn every_page_is_protected(t: TestApp) {
    let admin = t.admin().await;
    let lot = t.lot(3).await;
    let mut browser = Browser::of(&t, &admin);
    let stay = browser.submit("/ui/lots", &format!("/ui/lots/{lot}/book"), &[]).await;
    assert_eq!(stay.leads_to(), "/ui/parking?done=booked");
    for policy in PAGES.iter().filter(|page| page.method == "GET" && !page.path.ends_with("}/events")) {
        let path = policy.path.replace("{id}", "1");
        let (path, mut visitor) = match policy.path {
            "/ui/static/{file}" => continue,
            "/ui" | "/ui/login" | "/ui/register" => (path, Browser::new(&t)),
            "/ui/exports/{id}" | "/ui/exports/{id}/file" => {
                ("/ui/exports/none".into(), Browser::of(&t, &admin))
            }
            "/ui/admin" => ("/ui/admin".into(), Browser::of(&t, &admin)),
            _ => (path, Browser::of(&t, &admin)),
        };
        is_protected(&path, &visitor.get(&path).await);
    }
    for (path, status) in [("/ui/nowhere", 404), ("/ui/lots/999999", 404), ("/ui/lots/x", 404)] {
        is_protected(path, &browser.get(path).await.expect(status));
    }
    is_protected("a form without a token", &browser.post("/ui/lots", &[]).await.expect(403));
}

#[testkit::both_databases]
async fn files_are_cached_for_good_and_compressed(t: TestApp) {
    let files = assets::all();
    for file in [&files.css, &files.js, &files.icon, &files.manifest] {
        let request = t.request(Method::GET, &format!("/{}", file.url()), None);
        let plain = t.send(request.try_clone().unwrap()).await.expect(200);
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(plain.headers["vary"], "accept-encoding");
        let compressed = t.send(request.header("accept-encoding", "gzip")).await.expect(200);
        assert_eq!(compressed.headers["content-encoding"], "gzip");
        assert!(compressed.headers["content-length"].to_str().unwrap().parse::<usize>().unwrap() < 20 * 1024);
    }
    t.get("//ui/static/app.css", None).await.expect(404);
}

/// The text as templates write it.
fn escaped(text: &str) -> String {
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#x27;"), ("/", "&#x2f;")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[testkit::both_databases]
async fn hostile_texts_are_texts_on_every_page(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let drivers = stays(&t, &clock).await;
    let (mut operator, mut seen) = (Browser::of(&t, &t.admin().await), Vec::new());
    for path in [
        "/ui/work",
        "/ui/lots",
        "/ui/admin",
        "/ui/admin/lots",
        "/ui/admin/users",
        "/ui/admin/reports",
        "/ui/admin/audit",
    ] {
        seen.push(operator.get(path).await.expect(200).text);
    }
    let all = operator.get("/ui/admin/reports").await.text;
    for (driver, text) in drivers.iter().zip(HOSTILE) {
        let mut browser = Browser::of(&t, driver);
        for path in ["/ui/history", "/ui/profile", "/ui/figures"] {
            let page = browser.get(path).await.expect(200);
            page.has(&escaped(text));
            seen.push(page.text);
        }
        assert!(all.contains(&escaped(text)), "{text}");
        let fields = [("plate", text), ("payment_method", text), ("reason", text)];
        for path in ["/ui/work/lots/1/arrive", "/ui/work/lots/1/leave", "/ui/work/stays/1/pay"] {
            seen.push(operator.submit("/ui/work", path, &fields).await.text);
        }
        let query = reqwest::Url::parse_with_params("http://x", [("q", text)]).unwrap();
        seen.push(operator.get(&format!("/ui/lots?{}", query.query().unwrap())).await.expect(200).text);
    }
    for page in seen {
        assert!(!page.contains("request_id"), "a problem body instead of a page: {page}");
        for raw in ["<script>alert", "<img src=x", "</td></tr>\"", "\"onclick=", "{{ 7", "{% raw"] {
            let is_template = raw.starts_with('{');
            assert!(is_template || !page.contains(raw), "{raw} in {page}");
        }
    }
}
