//! Second factors on pages.

use testkit::{PASSWORD, TestApp};

use super::browser::Browser;
use crate::{
    payments::unpaid,
    second_factor::{enrol, with_clock},
};

#[testkit::both_databases]
async fn logins_on_pages_ask_for_a_code(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let asha = t.driver("Asha").await;
    let asha = enrol(&t, &clock, asha).await;
    let mut browser = Browser::new(&t);
    assert!(!browser.get("/ui/login").await.text.contains("name=\"code\""));
    let (email, code) = (&*asha.who.email, asha.code(&t));
    let known = [("email", email), ("password", PASSWORD)];
    browser.submit("/ui/login", "/ui/login", &known).await.expect(403).has("name=\"code\"");
    let wrong = [known[0], known[1], ("code", "000000")];
    let refused = browser.submit("/ui/login", "/ui/login", &wrong).await.expect(403);
    refused.has("The code is wrong or was used before.");
    refused.has("name=\"code\"");
    let right = [known[0], known[1], ("code", &code)];
    assert_eq!(browser.submit("/ui/login", "/ui/login", &right).await.leads_to(), "/ui");
}

#[testkit::both_databases]
async fn a_bill_is_waived_after_a_fresh_code(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    let waive = format!("/ui/admin/unpaid/{}/waive", unpaid(&t, &asha, lot).await);
    let admin = enrol(&t, &clock, admin).await;
    let mut browser = Browser::of(&t, &admin.who);
    let reason = [("reason", "A broken barrier")];
    let refused = browser.submit("/ui/admin/unpaid", &waive, &reason).await.expect(403);
    refused.has("confirm\">Confirm this with a code of your second factor.</a>");
    browser.submit("/ui/confirm", "/ui/confirm", &[("code", "000000")]).await.expect(403);
    let code = admin.code(&t);
    let confirmed = browser.submit("/ui/confirm", "/ui/confirm", &[("code", &code)]).await;
    let after = confirmed.leads_to().to_owned();
    browser.get(&after).await.expect(200).has("Confirmed. Repeat what you wanted to do.");
    browser.submit("/ui/admin/unpaid", &waive, &reason).await.leads_to();
}
