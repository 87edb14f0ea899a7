//! Changes of one's own password, address and phone number need the current password.

use serde_json::{Value, json};
use testkit::{Answer, Driver, Engine, PASSWORD, TestApp};

use crate::support::{content, number};

async fn change(t: &TestApp, who: &Driver, current: Option<&str>, mut body: Value) -> Answer {
    if let Some(current) = current {
        body["current_password"] = json!(current);
    }
    t.put(&format!("/users/{}", who.id), Some(who), body).await
}

#[testkit::both_databases]
async fn changing_how_to_log_in_needs_the_current_password(t: TestApp) {
    let asha = t.driver("Asha").await;
    for body in [
        json!({ "phone_number": "9876543210" }),
        json!({ "phone_number": "" }),
        json!({ "email": "asha.r@example.com" }),
        json!({ "email": "new@example.com", "password": "Another-horse-1", "username": "Asha R." }),
    ] {
        let before = content(&t).await;
        change(&t, &asha, None, body.clone()).await.problem(403, "current_password_required");
        for wrong in ["", "Wrong-horse-1", "Another-horse-1"] {
            change(&t, &asha, Some(wrong), body.clone()).await.problem(403, "wrong_current_password");
        }
        assert_eq!(content(&t).await, before);
        change(&t, &asha, Some(PASSWORD), body).await.expect(200);
    }
    let changed = "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-password-changed'";
    assert_eq!(number(&t, changed).await, 1, "the user is told about the password");
    let login = json!({ "email": asha.email, "password": "Another-horse-1" });
    t.post("/auth/login", None, login).await.expect(200);
}

/// As the old client does, whose form sends every field back.
#[testkit::both_databases]
async fn unchanged_fields_need_no_password_in_any_spelling(t: TestApp) {
    let asha = t.driver("Asha").await;
    change(&t, &asha, Some(PASSWORD), json!({ "phone_number": "98765 43210" })).await.expect(200);
    let form = json!({ "id": asha.id, "role": "user", "username": "Asha R.", "vehicle_number": "MH12AB1234",
        "email": " ASHA@Example.com", "phone_number": "098765-43210", "password": PASSWORD });
    let answer = change(&t, &asha, None, form).await.expect(200);
    assert_eq!(
        (&answer.body["user"]["username"], &answer.body["user"]["email"]),
        (&json!("Asha R."), &json!(asha.email))
    );
    assert_eq!(answer.body["user"]["phone_number"], "+919876543210");
    change(&t, &asha, Some("ignored"), json!({ "username": "Asha" })).await.expect(200);
}

#[testkit::both_databases]
async fn admins_change_others_without_a_password(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let body =
        json!({ "email": "new@example.com", "phone_number": "9876543210", "password": "Another-horse-1" });
    t.put(&format!("/users/{}", asha.id), Some(&admin), body.clone()).await.expect(200);
    let body = json!({ "email": "boss@example.com" });
    t.put("/users/me", Some(&admin), body).await.problem(403, "current_password_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_current_password_uses_up_the_logins() {
    let t = TestApp::start_with(Engine::Sqlite, &[("RATE_LIMIT_LOGIN", "4/3600")]).await;
    let asha = t.driver("Asha").await;
    let phone = json!({ "phone_number": "9876543210" });
    for _ in 0..2 {
        change(&t, &asha, Some("Wrong-horse-1"), phone.clone()).await.problem(403, "wrong_current_password");
        // The answer would tell whether it is the current one.
        let guess = json!({ "password": "Wrong-horse-1" });
        change(&t, &asha, None, guess).await.problem(403, "current_password_required");
    }
    change(&t, &asha, Some(PASSWORD), phone.clone()).await.problem(429, "rate_limited");
    let login = json!({ "email": asha.email, "password": PASSWORD });
    t.post("/auth/login", None, login).await.problem(429, "rate_limited");
    change(&t, &asha, None, json!({ "username": "Asha R." })).await.expect(200);
}
