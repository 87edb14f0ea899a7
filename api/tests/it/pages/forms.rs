//! What forms show after a mistake.

use testkit::TestApp;

use super::browser::Browser;

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

#[testkit::both_databases]
async fn browsers_get_pages_at_the_root_and_programs_json(t: TestApp) {
    let mut browser = Browser::new(&t);
    assert_eq!(browser.get("/").await.leads_to(), "/ui");
    browser.get("/ui").await.expect(200).has("<h1>");
    assert_eq!(t.get("//", None).await.expect(200).body["status"], "ok");
}
