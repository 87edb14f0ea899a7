//! Second factors on pages.

use chrono::TimeDelta;
use shared::base::clock::Clock;
use testkit::{PASSWORD, TestApp};
use totp_rs::{Algorithm, Secret, TOTP};

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
    refused.has("confirm?next=%2Fui%2Fadmin%2Funpaid\">Confirm this with a code of your second factor.</a>");
    browser.submit("/ui/confirm", "/ui/confirm", &[("code", "000000")]).await.expect(403);
    let code = admin.code(&t);
    let confirmed = browser.submit("/ui/confirm", "/ui/confirm", &[("code", &code)]).await;
    let after = confirmed.leads_to().to_owned();
    browser.get(&after).await.expect(200).has("Confirmed. Repeat what you wanted to do.");
    browser.submit("/ui/admin/unpaid", &waive, &reason).await.leads_to();
}

/// The text between two others.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split_once(before)
        .unwrap_or_else(|| panic!("{before} is not in {page}"))
        .1
        .split(after)
        .next()
        .unwrap()
}

fn codes(page: &str) -> Vec<String> {
    page.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

#[testkit::both_databases]
async fn a_second_factor_is_turned_on_renewed_and_off(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let asha = t.driver("Asha").await;
    let (page, mut browser) = ("/ui/second-factor", Browser::of(&t, &asha));
    let password = |text: &'static str| [("current_password", text)];
    browser.submit(page, page, &password("wrong")).await.expect(403).has("Your current password is wrong");
    let begun = browser.submit(page, page, &password(PASSWORD)).await.expect(200);
    begun.has("<svg class=\"qr\" viewBox=\"-4 -4 ");
    let secret = between(&begun.text, "name=\"secret\" value=\"", "\"").to_owned();
    assert!(!browser.get(page).await.text.contains(&secret), "it is shown once");
    let bytes = Secret::Encoded(secret.clone()).to_bytes().unwrap();
    let factor = TOTP::new(Algorithm::SHA1, 6, 1, 30, bytes).unwrap();
    let code = |clock: &Clock| factor.generate(clock.now().timestamp().unsigned_abs());
    let confirm = "/ui/second-factor/confirm";
    let wrong = browser.submit(page, confirm, &[("code", "000000"), ("secret", &secret)]).await.expect(403);
    wrong.has("The code is wrong");
    assert_eq!(between(&wrong.text, "name=\"secret\" value=\"", "\""), secret);
    let on = browser.submit(page, confirm, &[("code", &code(&clock)), ("secret", &secret)]).await.expect(200);
    let first = codes(&on.text);
    assert_eq!(first.len(), 10);
    on.has(&format!("{}%0A", first[9]));
    assert!(!browser.get(page).await.text.contains(&first[0]), "they are shown once");

    let renew = "/ui/second-factor/codes";
    let refused = browser.submit(page, renew, &[]).await.expect(403);
    refused.has("confirm?next=%2Fui%2Fsecond-factor\">");
    clock.advance(TimeDelta::seconds(30));
    let next = [("code", &*code(&clock)), ("next", page)];
    let confirmed = browser.submit("/ui/confirm", "/ui/confirm", &next).await;
    assert_eq!(confirmed.leads_to(), "/ui/second-factor?done=confirmed");
    let second = codes(&browser.submit(page, renew, &[]).await.expect(200).text);
    assert_eq!((second.len(), first.iter().any(|code| second.contains(code))), (10, false));
    let known = [("email", &*asha.email), ("password", PASSWORD)];
    let with = |code: &str| [known[0], known[1], ("code", code)].map(|(n, v)| (n.to_owned(), v.to_owned()));
    for (code, status) in [(&first[0], 403), (&second[0], 303), (&second[0], 403)] {
        let fields = with(code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let mut other = Browser::new(&t);
        other.submit("/ui/login", "/ui/login", &fields).await.expect(status);
    }
    browser.get(page).await.has("9 recovery codes are left");
    browser.submit(page, "/ui/second-factor/off", &[]).await.leads_to();
    browser.get(page).await.has("Turn it on");
    browser.submit(page, renew, &[]).await.expect(409);
    Browser::new(&t).submit("/ui/login", "/ui/login", &known).await.expect(303);
}

#[testkit::both_databases]
async fn confirmations_lead_to_pages_of_ours_only(t: TestApp) {
    let (t, clock) = with_clock(t).await;
    let driver = t.driver("Asha").await;
    let asha = enrol(&t, &clock, driver).await;
    let mut browser = Browser::of(&t, &asha.who);
    for next in ["https://evil.example", "//evil.example", "/ui//evil.example", ""] {
        clock.advance(TimeDelta::seconds(30));
        let code = asha.code(&t);
        let confirmed =
            browser.submit("/ui/confirm", "/ui/confirm", &[("code", &code), ("next", next)]).await;
        assert_eq!(confirmed.leads_to(), "/ui/parking?done=confirmed", "{next}");
    }
}
