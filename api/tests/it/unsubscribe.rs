//! Unsubscribe links in mails, and the privacy notice.

use reqwest::Method;
use serde_json::json;
use shared::parking::notifications::Subscription;
use testkit::{Answer, TestApp};

use crate::support::{content, number};

/// The path and query of an unsubscribe link, as in a mail.
fn link(t: &TestApp, subscription: Subscription, user: i64) -> String {
    let link = subscription.link(&t.app.config, &t.app.keys, user).unwrap();
    link.strip_prefix(&format!("{}/api", t.app.config.public_url)).unwrap().to_owned()
}

/// What a mail program sends for a one-click unsubscribe.
async fn click(t: &TestApp, link: &str) -> Answer {
    let body = "List-Unsubscribe=One-Click";
    let kind = "application/x-www-form-urlencoded";
    t.send(t.request(Method::POST, link, None).header("content-type", kind).body(body)).await
}

#[testkit::both_databases]
async fn only_post_unsubscribes_and_only_one_kind(t: TestApp) {
    let (asha, _ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let off = async || {
        (
            number(&t, "SELECT COUNT(*) AS n FROM users WHERE reminders_off").await,
            number(&t, "SELECT COUNT(*) AS n FROM users WHERE reports_off").await,
        )
    };
    let (reminders, reports) =
        (link(&t, Subscription::Reminders, asha.id), link(&t, Subscription::Reports, asha.id));
    let before = content(&t).await;
    let page = t.get(&reminders, None).await.expect(200);
    assert!(page.text.contains("<form method=\"post\">") && page.text.contains("No more reminders?"));
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    for (name, part) in [
        ("content-security-policy", "default-src 'none'; script-src 'self'; style-src 'self'; "),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert!(page.headers[name].to_str().unwrap().contains(part), "{name}");
    }
    assert_eq!(content(&t).await, before, "a GET changes nothing, as link scanners open links");

    assert!(click(&t, &reminders).await.expect(200).text.contains("You are unsubscribed"));
    assert_eq!(off().await, (1, 0));
    click(&t, &reminders).await.expect(200);
    assert_eq!(off().await, (1, 0));
    click(&t, &reports).await.expect(200);
    assert_eq!(off().await, (1, 1));
    assert_eq!(
        number(&t, &format!("SELECT COUNT(*) AS n FROM users WHERE reports_off AND id = {}", asha.id)).await,
        1
    );
}

#[testkit::both_databases]
async fn forged_unsubscribe_links_do_nothing(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let before = content(&t).await;
    let good = link(&t, Subscription::Reminders, asha.id);
    let start = good.rsplit_once('=').unwrap().0;
    let forged = [
        good.replace("mails=reminders", "mails=reports"),
        good.replace("mails=reminders", "mails=receipts"),
        good.replace(&format!("user_id={}", asha.id), &format!("user_id={}", ravi.id)),
        format!("{start}="),
        format!("{start}={}", "0".repeat(64)),
        good[..good.len() - 2].to_owned(),
    ];
    for forged in &forged {
        click(&t, forged).await.problem(404, "not_found");
        t.get(forged, None).await.problem(404, "not_found");
    }
    for wrong in [
        "/unsubscribe",
        "/unsubscribe?user_id=x&mails=reminders&signature=0",
        "/unsubscribe?user_id=1&mails=reminders",
    ] {
        click(&t, wrong).await.problem(400, "invalid");
    }
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn unsubscribe_link_of_a_deleted_user_is_harmless(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let link = link(&t, Subscription::Reminders, asha.id);
    t.delete(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200);
    click(&t, &link).await.expect(200);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM users WHERE reminders_off").await, 0);
}

#[testkit::both_databases]
async fn privacy_notice_shows_configured_retention(t: TestApp) {
    let changed = [("CSV_EXPORT_EXPIRY_HOURS", "7"), ("JOB_RETENTION_DAYS", "11")];
    let other = t.second_process(&changed).await;
    let notice = other.get("/privacy", None).await.expect(200).body["notice"].clone();
    let text = notice.to_string();
    for part in ["kept for 7 hours", "work for 11 days", "erased", "hash of your password"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(notice[0]["topic"], json!("What is kept"));
}
