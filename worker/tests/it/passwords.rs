//! Mails with links that set a new password, over real SMTP.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use devstack::{Behaviour, MailSink};
use serde_json::json;
use shared::parking::notifications::{SendGuessingNotice, SendPasswordChanged, SendPasswordReset};
use testkit::{Driver, TestApp};
use uuid::Uuid;

use crate::support::{enqueue, execute, make_retry_due, number, reaches, send_to};

/// A driver whose welcome mail is not sent, and the server for other mails.
async fn driver_and_sink(t: &mut TestApp) -> (Driver, MailSink) {
    let asha = t.driver("Asha").await;
    execute(t, "DELETE FROM jobs", []).await;
    let sink = MailSink::start().await.unwrap();
    send_to(t, &sink);
    (asha, sink)
}

async fn request(t: &TestApp, user_id: Option<i64>, requested_at: DateTime<Utc>) -> Uuid {
    enqueue(t, &SendPasswordReset { user_id, requested_at }).await
}

fn token(mail: &devstack::Mail) -> String {
    let text = mail.text().unwrap();
    let (_, rest) = text.split_once("/api/auth/reset-password?token=").expect("a link");
    rest.split_whitespace().next().unwrap().to_owned()
}

#[testkit::both_databases]
async fn a_reset_mail_that_is_sent_twice_has_one_working_link(mut t: TestApp) {
    let (asha, sink) = driver_and_sink(&mut t).await;
    sink.fault("RCPT", "450 4.2.0 greylisted");
    sink.script(vec![Behaviour::Accept, Behaviour::AcceptThenDrop]);
    let worker = t.work();
    let id = request(&t, Some(asha.id), t.app.clock.now()).await;
    make_retry_due(&t, id, 1).await;
    make_retry_due(&t, id, 2).await;
    reaches(&t, id, "succeeded").await;
    let mails = sink.messages();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Subject").as_deref(), Some("Set a new password for Parkade"));
    assert_eq!(mails[0].to, ["asha@example.com"]);
    assert_eq!(token(&mails[0]), token(&mails[1]));
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM account_tokens").await, 1);
    let ledger = format!("SELECT COUNT(*) AS n FROM jobs WHERE payload LIKE '%{}%'", token(&mails[0]));
    assert_eq!(number(&t, &ledger).await, 0, "the ledger does not have it");
    let body = json!({ "token": token(&mails[0]), "password": "tarmac lemon violin" });
    t.post("/auth/reset-password", None, body).await.expect(200);
    let mails = sink.wait_for(|mails| mails.len() == 3, Duration::from_secs(20)).await.unwrap();
    assert_eq!(mails[2].header("Subject").as_deref(), Some("Your password for Parkade was changed"));
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn late_and_pointless_reset_mails_are_skipped(mut t: TestApp) {
    let (asha, sink) = driver_and_sink(&mut t).await;
    let worker = t.work();
    let now = t.app.clock.now();
    for (user_id, requested_at, why) in [
        (Some(asha.id), now - TimeDelta::minutes(30), "the link has expired"),
        (None, now, "no account has this address"),
    ] {
        let id = request(&t, user_id, requested_at).await;
        let skipped = reaches(&t, id, "succeeded").await.result.unwrap();
        assert_eq!(skipped, json!({ "skipped": why }).to_string());
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM account_tokens").await, 0);
    let id = enqueue(&t, &SendPasswordChanged { user_id: asha.id, changed_at: now }).await;
    reaches(&t, id, "succeeded").await;
    assert_eq!((sink.attempts(), sink.messages().len()), (1, 1));
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn guessing_is_reported_once_a_day(mut t: TestApp) {
    let (asha, sink) = driver_and_sink(&mut t).await;
    let worker = t.work();
    let now = t.app.clock.now();
    for noticed_at in [now, now, now + TimeDelta::days(1)] {
        let id = enqueue(&t, &SendGuessingNotice { user_id: asha.id, noticed_at }).await;
        reaches(&t, id, "succeeded").await;
    }
    let mails = sink.messages();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        mails[0].header("Subject").as_deref(),
        Some("Somebody tries passwords on your Parkade account")
    );
    worker.stop().await;
}
