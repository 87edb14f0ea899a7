//! Who may see which page.

use api::http::policy::{Access, PAGES, Policy};
use reqwest::Method;
use testkit::TestApp;
use uuid::Uuid;

use super::browser::{Browser, Page};
use crate::attendants::attendant;

/// The path with something in place of its parameters.
fn filled(policy: &Policy) -> String {
    let id = match policy.path {
        path if path.contains("/exports/") || path.contains("/jobs/") || path.contains("/sessions/") => {
            Uuid::nil().to_string()
        }
        path if path.contains("/queues/") => "mail".into(),
        path if path.contains("/schedules/") => "file-cleanup".into(),
        _ => "999999".into(),
    };
    policy.path.replace("{id}", &id).replace("{name}", &id).replace("{file}", "app.css")
}

async fn visit(browser: &mut Browser<'_>, policy: &Policy) -> Page {
    let method: Method = policy.method.parse().unwrap();
    if method == Method::GET {
        return browser.get(&filled(policy)).await;
    }
    let token = browser.get("/ui/lots").await.token();
    browser.post(&filled(policy), &[("csrf", &token)]).await
}

/// A form may also be answered with 403, for a missing password.
fn is_refused(page: &Page) -> bool {
    page.status == 403 && page.text.contains("You do not have access to this page.")
}

fn goes_to_login(page: &Page) -> bool {
    page.status == 303 && page.leads_to().starts_with("/ui/login")
}

#[testkit::both_databases]
async fn each_page_is_for_its_callers(t: TestApp) {
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let guard = attendant(&t, &admin, "Guard", &[t.lot(1).await]).await;
    for policy in PAGES {
        if policy.path == "/ui/logout" {
            continue;
        }
        let name = format!("{} {}", policy.method, policy.path);
        let anonymous = visit(&mut Browser::new(&t), policy).await;
        let driver = visit(&mut Browser::of(&t, &asha), policy).await;
        let at_work = visit(&mut Browser::of(&t, &guard), policy).await;
        let operator = visit(&mut Browser::of(&t, &admin), policy).await;
        let is_open = matches!(policy.access, Access::Public | Access::Anonymous);
        assert_eq!(goes_to_login(&anonymous), !is_open, "{name}: {}", anonymous.status);
        let is_for_staff = matches!(policy.access, Access::Attendant | Access::Admin);
        assert_eq!(is_refused(&driver), is_for_staff, "{name}: {}", driver.text);
        assert_eq!(is_refused(&at_work), policy.access == Access::Admin, "{name}: {}", at_work.text);
        for (who, page) in
            [("a driver", &driver), ("an attendant", &at_work), ("an administrator", &operator)]
        {
            assert!(!goes_to_login(page) && !page.status.is_server_error(), "{name} by {who}: {}", page.text);
        }
        assert!(!is_refused(&operator), "{name}: {}", operator.text);
    }
}

#[test]
fn pages_for_operators_are_for_administrators() {
    for policy in PAGES {
        assert!(policy.is_page && policy.path.starts_with("/ui"), "{}", policy.path);
        assert_eq!(policy.path.starts_with("/ui/admin"), policy.access == Access::Admin, "{}", policy.path);
        assert_eq!(policy.writes, policy.method == "POST", "{}", policy.path);
    }
}
