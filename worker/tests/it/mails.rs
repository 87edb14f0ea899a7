//! Mails over real SMTP: what arrives, and what happens to mails that a server rejects, loses or leaves in doubt.

use std::time::{Duration, Instant};

use devstack::{Behaviour, Mail, MailSink};
use serde_json::json;
use shared::{
    jobs::{NewJob, queue},
    parking::notifications,
};
use testkit::{Driver, Engine, Processes, TestApp};
use uuid::Uuid;

use crate::support::{
    delivery, driver_with, execute, insert, mail_settings, make_retry_due, reaches, request_export,
    request_export_with, row, send_to, settings, within,
};

/// Enqueues a mail and announces only that one, so earlier mails stay queued.
async fn send(t: &TestApp, job: NewJob) -> Uuid {
    let job = insert(t, &job).await;
    queue::announce(&t.app.redis, &[job]).await;
    job.id
}

/// A driver with one completed stay, id 1, for which neither the confirmation nor the receipt has been sent.
async fn parked(t: &TestApp) -> Driver {
    let driver = driver_with(t, 1).await;
    execute(t, "DELETE FROM jobs", []).await;
    driver
}

async fn stay(t: &TestApp) -> i64 {
    crate::support::number(t, "SELECT MIN(id) AS n FROM reservations").await
}

async fn sink_for(t: &mut TestApp) -> MailSink {
    let sink = MailSink::start().await.unwrap();
    send_to(t, &sink);
    sink
}

/// Requeues a failed job, as an operator does.
async fn requeue(t: &TestApp, id: Uuid) {
    let text =
        "UPDATE jobs SET state = 'queued', attempt = 0, run_at = created_at, error = NULL, finished_at = NULL
                WHERE id = $1 AND state = 'failed'";
    assert_eq!(execute(t, text, [id.into()]).await, 1);
}

#[testkit::both_databases]
async fn an_unpaid_stay_is_billed_and_its_payment_receipted(mut t: TestApp) {
    let sink = sink_for(&mut t).await;
    let _worker = t.work();
    let (driver, lot) = (t.driver("Asha").await, t.lot(1).await);
    let booking = t.book(&driver, lot).await;
    sink.wait_for(|mails| mails.len() == 2, Duration::from_secs(20)).await.unwrap();
    t.release(&driver, booking).await.expect(200);
    let mails = sink.wait_for(|mails| mails.len() == 3, Duration::from_secs(20)).await.unwrap();
    assert_eq!(mails[2].header("Subject").as_deref(), Some("Bill: ₹25.50 for parking at Main Street"));
    assert!(mails[2].text().unwrap().contains("It is not paid yet."));
    let cash = json!({ "payment_method": "cash" });
    for _ in 0..2 {
        t.post(&format!("/reservations/{booking}/payment"), Some(&driver), cash.clone()).await.expect(200);
    }
    let mails = sink.wait_for(|mails| mails.len() == 4, Duration::from_secs(20)).await.unwrap();
    assert_eq!(mails[3].header("Subject").as_deref(), Some("Receipt: ₹25.50 for parking at Main Street"));
    let text = mails[3].text().unwrap();
    assert!(text.contains("Paid by      Cash") && !text.contains("not paid"), "{text}");
}

#[testkit::both_databases]
async fn every_mail_has_text_and_html_bodies(mut t: TestApp) {
    let sink = sink_for(&mut t).await;
    let worker = t.work();
    let ann = json!({ "username": "Ann Bö & Co", "email": "ann@example.com", "password": testkit::PASSWORD });
    t.post("/auth/register", None, ann).await.expect(201);
    let (driver, lot) = (t.log_in("ann@example.com").await, t.lot(2).await);
    let booking = t.book(&driver, lot).await;
    sink.wait_for(|mails| mails.len() == 2, Duration::from_secs(20)).await.unwrap();
    let cash = json!({ "reservation_id": booking, "payment_method": "cash" });
    t.post("/booking/release-spot", Some(&driver), cash).await.expect(200);
    let export = request_export(&t, &driver).await;
    let mails = sink.wait_for(|mails| mails.len() == 4, Duration::from_secs(20)).await.unwrap();
    crate::support::assert_no_duplicate_mails(&mails);
    let of = |what: &str| {
        mails
            .iter()
            .find(|mail| mail.header("Subject").unwrap().contains(what))
            .unwrap_or_else(|| panic!("{what}"))
    };
    let (welcome, confirmation) = (of("Welcome to Parkade, Ann Bö & Co"), of("is booked"));
    let (receipt, ready) = (of("Receipt: ₹25.50 for parking at Main Street"), of("Your export is ready"));
    for mail in &mails {
        assert_eq!(mail.to, std::slice::from_ref(&driver.email));
        assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
        let (text, html) = (mail.text().unwrap(), mail.html().unwrap());
        assert!(text.contains("Hello Ann Bö & Co") && !text.contains("&amp;"), "{text}");
        assert!(html.contains("Ann Bö &amp; Co") && html.to_lowercase().contains("<html"), "{html}");
    }
    for (mail, facts) in [
        (welcome, vec!["Parkade"]),
        (confirmation, vec!["Main Street", "₹25.50 an hour"]),
        (receipt, vec!["1 hour at ₹25.50 an hour", "₹25.50", "Main Street"]),
    ] {
        let text = mail.text().unwrap();
        facts.iter().for_each(|fact| assert!(text.contains(fact), "{fact} in {text}"));
        assert!(mail.attachments().is_empty());
    }
    assert!(receipt.html().unwrap().contains("25.50"));
    assert!(ready.text().unwrap().contains(&format!("/api/export/download/{export}")));
    let file = &ready.attachments()[0];
    assert_eq!(file.content_type, "text/csv");
    assert_eq!(file.bytes, std::fs::read(crate::support::file_of(&t, export)).unwrap());
    worker.stop().await;
}

#[testkit::both_databases]
async fn exports_about_others_are_linked_not_attached(mut t: TestApp) {
    let sink = sink_for(&mut t).await;
    let admin = t.admin().await;
    let worker = t.work();
    for (options, content_type) in [
        (json!({}), Some("text/csv")),
        (
            json!({ "format": "xlsx" }),
            Some("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ),
        (json!({ "scope": "all" }), None),
        (json!({ "scope": "all", "format": "xlsx" }), None),
        (json!({ "scope": "all", "anonymise": true }), None),
    ] {
        let id = request_export_with(&t, &admin, options.clone()).await;
        let link = format!("/api/export/download/{id}");
        let is_about = |mail: &Mail| mail.text().is_some_and(|text| text.contains(&link));
        let mails = sink.wait_for(|mails| mails.iter().any(is_about), Duration::from_secs(20)).await.unwrap();
        let mail = mails.iter().find(|mail| is_about(mail)).unwrap();
        let types: Vec<_> = mail.attachments().iter().map(|file| file.content_type.clone()).collect();
        assert_eq!(types.first().map(String::as_str), content_type, "{options}");
        assert_eq!(mail.text().unwrap().contains("attached"), content_type.is_some(), "{options}");
    }
    worker.stop().await;
}

#[testkit::both_databases]
async fn deferred_mail_is_retried_and_arrives_once(mut t: TestApp) {
    let driver = parked(&t).await;
    let sink = sink_for(&mut t).await;
    for reply in ["450 4.2.0 greylisted", "451 4.7.1 greylisted"] {
        sink.fault("END", reply);
    }
    let worker = t.work();
    let id = send(&t, notifications::receipt(stay(&t).await, driver.id).unwrap()).await;
    make_retry_due(&t, id, 1).await;
    make_retry_due(&t, id, 2).await;
    assert_eq!(reaches(&t, id, "succeeded").await.attempt, 3);
    assert_eq!((sink.messages().len(), sink.attempts()), (1, 3));
    let sent = delivery(&t, "receipt:1").await;
    assert_eq!((sent.state.as_str(), sent.attempts, sent.resent), ("sent", 3, false));
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn permanently_rejected_mail_is_dead(mut t: TestApp) {
    let driver = parked(&t).await;
    let sink = sink_for(&mut t).await;
    sink.set(Behaviour::Permanent);
    let worker = t.work();
    let id = send(&t, notifications::confirmation(stay(&t).await, driver.id).unwrap()).await;
    let failed = reaches(&t, id, "failed").await;
    assert_eq!(failed.attempt, 1);
    assert!(failed.error.as_deref().unwrap().contains("550"), "{:?}", failed.error);
    assert!(!failed.error.unwrap().contains('@'), "no address in the ledger");
    sink.set(Behaviour::Accept);
    let next = send(&t, notifications::welcome(driver.id).unwrap()).await;
    reaches(&t, next, "succeeded").await;
    assert_eq!((sink.attempts(), sink.messages().len()), (2, 1), "one attempt per mail");
    assert_eq!(delivery(&t, "confirmation:1").await.state, "refused");
    worker.stop().await;
}

#[testkit::both_databases]
async fn ambiguous_confirmation_is_resent_once_with_same_id(mut t: TestApp) {
    let driver = parked(&t).await;
    let sink = sink_for(&mut t).await;
    sink.script(vec![Behaviour::AcceptThenDrop]);
    let worker = t.work();
    let id = send(&t, notifications::confirmation(stay(&t).await, driver.id).unwrap()).await;
    make_retry_due(&t, id, 1).await;
    let doubtful = delivery(&t, "confirmation:1").await;
    reaches(&t, id, "succeeded").await;
    assert_eq!((doubtful.state.as_str(), doubtful.resent), ("ambiguous", false));
    let mails = sink.messages();
    assert_eq!(mails.len(), 2, "the first mail had arrived after all");
    assert_eq!(mails[0].message_id(), mails[1].message_id());
    let sent = delivery(&t, "confirmation:1").await;
    assert_eq!((sent.state.as_str(), sent.resent), ("sent", true), "a possible duplicate is marked");
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn twice_ambiguous_confirmation_is_held(mut t: TestApp) {
    let driver = parked(&t).await;
    let sink = sink_for(&mut t).await;
    sink.set(Behaviour::Drop);
    let worker = t.work();
    let id = send(&t, notifications::confirmation(stay(&t).await, driver.id).unwrap()).await;
    make_retry_due(&t, id, 1).await;
    let failed = reaches(&t, id, "failed").await;
    assert_eq!((failed.attempt, sink.attempts()), (2, 2));
    assert_eq!(delivery(&t, "confirmation:1").await.state, "ambiguous");
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn ambiguous_receipt_is_held_for_an_operator(mut t: TestApp) {
    let driver = parked(&t).await;
    let sink = sink_for(&mut t).await;
    sink.script(vec![Behaviour::Drop]);
    let worker = t.work();
    let id = send(&t, notifications::receipt(stay(&t).await, driver.id).unwrap()).await;
    let failed = reaches(&t, id, "failed").await;
    assert_eq!(failed.attempt, 1);
    assert!(failed.error.unwrap().contains("requeue the job"));
    assert_eq!(delivery(&t, "receipt:1").await.state, "ambiguous");
    // Enqueueing the same receipt again does not count as the operator's decision.
    let again = send(&t, notifications::receipt(stay(&t).await, driver.id).unwrap()).await;
    assert_ne!(again, id);
    reaches(&t, again, "failed").await;
    assert_eq!((sink.attempts(), sink.messages().len()), (1, 0));

    let held = delivery(&t, "receipt:1").await;
    requeue(&t, held.job_id.unwrap()).await;
    reaches(&t, held.job_id.unwrap(), "succeeded").await;
    let mails = sink.messages();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].message_id(), Some(held.message_id));
    let sent = delivery(&t, "receipt:1").await;
    assert_eq!((sent.state.as_str(), sent.resent), ("sent", true));
    worker.stop().await;
}

/// A server that accepts the data and does not reply for 20 s, over both kinds of connection.
#[tokio::test(flavor = "multi_thread")]
async fn silent_mail_server_leaves_the_mail_ambiguous() {
    let mut t = TestApp::start(Engine::Sqlite).await;
    let driver = parked(&t).await;
    let sink = sink_for(&mut t).await;
    sink.script(vec![Behaviour::Hang, Behaviour::Hang]);
    let worker = t.work();
    let confirmation = send(&t, notifications::confirmation(stay(&t).await, driver.id).unwrap()).await;
    let receipt = send(&t, notifications::receipt(stay(&t).await, driver.id).unwrap()).await;
    let began = Instant::now();
    assert_eq!(reaches(&t, receipt, "failed").await.attempt, 1);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(delivery(&t, "receipt:1").await.state, "ambiguous");
    make_retry_due(&t, confirmation, 1).await;
    reaches(&t, confirmation, "succeeded").await;
    assert_eq!((sink.messages().len(), sink.attempts()), (1, 3));
    assert!(delivery(&t, "confirmation:1").await.resent);
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn worker_killed_mid_smtp_leaves_mails_ambiguous(t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    let driver = parked(&t).await;
    let mail = mail_settings(sink.addr().port());
    let processes = Processes::of(&t, &settings(&mail, &[]));
    sink.set(Behaviour::Hang);
    let killed = processes.worker();
    let confirmation = send(&t, notifications::confirmation(stay(&t).await, driver.id).unwrap()).await;
    let receipt = send(&t, notifications::receipt(stay(&t).await, driver.id).unwrap()).await;
    within(Duration::from_secs(20), "two mails hang", || async { sink.attempts() == 2 }).await;
    killed.kill().unwrap();
    let first = delivery(&t, "confirmation:1").await;
    assert_eq!((first.state.as_str(), first.resent), ("sending", false));
    sink.set(Behaviour::Accept);

    let worker = processes.worker();
    assert_eq!(reaches(&t, confirmation, "succeeded").await.attempt, 2);
    let held = reaches(&t, receipt, "failed").await;
    assert_eq!(held.attempt, 2);
    assert!(held.error.unwrap().contains("may have been sent already"));
    let mails = sink.messages();
    assert_eq!((mails.len(), mails[0].message_id()), (1, Some(first.message_id)));
    assert!(delivery(&t, "confirmation:1").await.resent);
    assert_eq!(delivery(&t, "receipt:1").await.state, "ambiguous");

    requeue(&t, receipt).await;
    assert_eq!(reaches(&t, receipt, "succeeded").await.attempt, 1);
    assert_eq!(sink.messages().len(), 2);
    assert_eq!(row(&t, receipt).await.error, None);
    drop(worker);
}
