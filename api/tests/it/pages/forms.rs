//! What forms show after a mistake.

use testkit::TestApp;

use super::{browser::Browser, security::is_protected};

#[testkit::both_databases]
async fn errors_are_summed_up_and_what_was_typed_stays(t: TestApp) {
    let mut browser = Browser::new(&t);
    let fields = [
        ("username", "Asha <b>"),
        ("email", "no address"),
        ("password", "short"),
        ("vehicle_number", "KA 1"),
    ];
    let page = browser.submit("/ui/register", "/ui/register", &fields).await.expect(400);
    page.has("id=\"errors\" role=\"alert\" tabindex=\"-1\"");
    page.has("<title>Error: ");
    for field in ["username", "email", "password"] {
        page.has(&format!("<a href=\"#{field}\">"));
        page.has(&format!("id=\"{field}-error\""));
    }
    page.has("value=\"no address\"");
    page.has("value=\"Asha &lt;b&gt;\"");
    page.has("value=\"KA 1\"");
    assert!(!page.text.contains("value=\"short\""), "passwords are never shown");
}

#[testkit::both_databases]
async fn mistakes_are_answered_in_the_language_of_the_visitor(t: TestApp) {
    t.driver("Asha").await;
    let mut browser = Browser::new(&t);
    browser.submit("/ui/login", "/ui/language", &[("lang", "de"), ("next", "/ui/login")]).await.leads_to();
    let fields = [("email", "asha@example.com"), ("password", "wrong")];
    let page = browser.submit("/ui/login", "/ui/login", &fields).await.expect(401);
    page.has("<html lang=\"de\">");
    page.has("Die E-Mail-Adresse oder das Passwort ist falsch.");
    browser.submit("/ui/login", "/ui/language", &[("lang", "hi"), ("next", "/ui/login")]).await.leads_to();
    browser.get("/ui/nowhere").await.expect(404).has("ऐसा कोई पृष्ठ नहीं है");
    browser.submit("/ui/login", "/ui/language", &[("lang", "xx"), ("next", "/ui/login")]).await.leads_to();
    browser.get("/ui/login").await.has("<html lang=\"hi\">");
}

/// What is wrong with the fields of the page.
fn field_errors(page: &str) -> Vec<&str> {
    page.split("<p class=\"error\"").skip(1).map(|rest| rest.split("</p>").next().unwrap()).collect()
}

#[testkit::both_databases]
async fn errors_of_fields_are_in_the_language(t: TestApp) {
    let (asha, admin, lot) = (t.driver("Asha").await, t.admin().await, t.lot(1).await);
    let reserve = format!("/ui/lots/{lot}/reserve");
    let forms: [(&str, &[(&str, &str)]); 7] = [
        (
            "/ui/register",
            &[
                ("username", ""),
                ("email", "x"),
                ("password", "x"),
                ("phone_number", "x"),
                ("vehicle_number", "-"),
            ],
        ),
        ("/ui/register", &[("username", "a{b"), ("email", "ü@x.example"), ("password", "password1")]),
        (&reserve, &[("from", "soon"), ("to", "1066-01-01T00:00")]),
        (&reserve, &[("from", "2020-01-02T00:00"), ("to", "2020-01-01T00:00")]),
        ("/ui/profile/vehicles", &[("plate", "-")]),
        ("/ui/profile/name", &[("username", "http://x.example")]),
        ("/ui/admin/lots", &[("location_name", ""), ("price", "x"), ("number_of_slots", "x")]),
    ];
    for (path, fields) in forms {
        let mut browser = match path {
            "/ui/register" => Browser::new(&t),
            "/ui/admin/lots" => Browser::of(&t, &admin),
            _ => Browser::of(&t, &asha),
        };
        for language in ["hi", "de"] {
            browser.cookies.insert("parkade_language".into(), language.into());
            let page = browser.submit("/ui/lots", path, fields).await.expect(400);
            let errors = field_errors(&page.text);
            assert!(!errors.is_empty(), "{path}: {}", page.text);
            assert!(
                errors.iter().all(|error| error.contains(&format!("lang=\"{language}\""))),
                "{path}: {errors:?}"
            );
        }
    }
}

#[testkit::both_databases]
async fn linked_pages_are_in_the_language_of_the_visitor(t: TestApp) {
    for (path, status, german) in [
        ("/api/auth/reset-password?token=x", 410, "Dieser Link gilt nicht mehr"),
        ("/api/auth/verify-email?token=x", 410, "Dieser Link gilt nicht mehr"),
        ("/api/auth/undo-email-change?token=x", 410, "Dieser Link gilt nicht mehr"),
        ("/api/privacy", 200, "<html lang=\"de\">"),
    ] {
        let mut browser = Browser::new(&t);
        browser.cookies.insert("parkade_language".into(), "de".into());
        let page = browser.get(path).await.expect(status);
        page.has(german);
        page.has("<link rel=\"stylesheet\"");
        is_protected(path, &page);
    }
}

#[testkit::both_databases]
async fn browsers_get_pages_at_the_root_and_programs_json(t: TestApp) {
    let mut browser = Browser::new(&t);
    assert_eq!(browser.get("/").await.leads_to(), "/ui");
    browser.get("/ui").await.expect(200).has("<h1>");
    assert_eq!(t.get("//", None).await.expect(200).body["status"], "ok");
}
