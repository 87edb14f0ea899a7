//! Notices to administrators by mail and chat, and to drivers by SMS.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use devstack::{Authority, HttpSink, MailSink, Redis, mail::Options};
use serde_json::json;
use shared::{
    base::clock::Clock,
    jobs::{NewJob, ledger, queue},
    parking::notifications::{
        Notice,
        alert::{self, Alert},
        notify_administrators,
    },
    platform::{config::Config, db::at, http::Rules, mailer::Mailer},
};
use testkit::{Engine, Processes, TestApp};
use uuid::Uuid;
use worker::registry::Registry;

use crate::support::{
    Act, MAINTENANCE, Probe, delivery, enqueue, execute, number, reaches, registry, row, within,
};

const KEY: &str = "/v1/spaces/AAA/messages?key=a-secret-key&token=a-secret-token";

/// Configures `t` to post to a fake chat.
async fn chat_for(t: &mut TestApp) -> HttpSink {
    let authority = Authority::new().unwrap();
    let chat = HttpSink::start(Some(authority.acceptor(&["localhost"]).unwrap())).await.unwrap();
    let host = format!("localhost:{}", chat.addr().port());
    change(t, |config| config.notifications.chat = Some(format!("https://{host}{KEY}").into()));
    let rules = Rules {
        authority: host,
        is_address_allowed: |address| address.is_loopback(),
        allow_http: false,
        root_certificate: Some(authority.pem().into()),
    };
    t.app = t.app.with(|app| app.chat_rules = rules);
    chat
}

fn change(t: &mut TestApp, change: impl FnOnce(&mut Config)) {
    let mut config = (*t.app.config).clone();
    change(&mut config);
    t.app = t.app.with(|app| app.config = Arc::new(config));
}

/// Sends a notice to administrators and returns the ids of its jobs.
async fn notify(t: &TestApp, key: &str) -> Vec<Uuid> {
    let facts = vec![("Who".to_owned(), "Ann <users/all> *x*".to_owned())];
    let notice = Notice { key: key.into(), title: "Something has happened".into(), facts };
    let mut sent = Vec::new();
    for job in notify_administrators(&t.app.config, t.app.db.read(), &notice).await.unwrap() {
        sent.push(ledger::insert(t.app.db.write(), t.app.clock.now(), &job).await.unwrap());
    }
    queue::announce(&t.app.redis, &sent).await;
    sent.iter().map(|job| job.id).collect()
}

/// The texts posted to the chat.
fn posted(chat: &HttpSink) -> Vec<String> {
    let text = |body: &str| {
        serde_json::from_str::<serde_json::Value>(body).unwrap()["text"].as_str().unwrap().to_owned()
    };
    chat.requests().iter().map(|request| text(&request.body)).collect()
}

#[testkit::both_databases]
async fn alert_goes_once_by_mail_and_chat(mut t: TestApp) {
    let (admin, chat) = (t.admin().await, chat_for(&mut t).await);
    t.driver("Asha").await;
    let worker = t.work();
    let sent = notify(&t, "test:1").await;
    assert_eq!(sent.len(), 2, "one for the administrator, one for the chat");
    for id in &sent {
        reaches(&t, *id, "succeeded").await;
    }
    for id in notify(&t, "test:1").await {
        reaches(&t, id, "succeeded").await;
    }
    let of_notice = |mail: &shared::platform::mailer::Mail| mail.subject == "Something has happened";
    let mails: Vec<_> = t.mails().into_iter().filter(of_notice).collect();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to_address, admin.email);

    let requests = chat.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((&*requests[0].method, &*requests[0].target), ("POST", KEY));
    assert!(requests[0].header("content-type").unwrap().starts_with("application/json"));
    assert_eq!(posted(&chat), ["*Something has happened*\nWho: Ann ‹users/all› ∗x∗"]);
    let sent = delivery(&t, "chat:test:1").await;
    assert_eq!((&*sent.channel, &*sent.state, sent.user_id), ("chat", "sent", None));
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn busy_chat_is_retried_and_refusals_are_final(mut t: TestApp) {
    let chat = chat_for(&mut t).await;
    let elsewhere = HttpSink::start(None).await.unwrap();
    let worker = t.work();
    for busy in ["429 Too Many Requests\r\n\r\n", "503 Unavailable\r\n\r\n"] {
        chat.answer(busy);
        let id = notify(&t, busy).await[0];
        crate::support::make_retry_due(&t, id, 1).await;
        assert_eq!(reaches(&t, id, "succeeded").await.attempt, 2);
    }
    let redirect = format!("302 Found\r\nLocation: http://{}/\r\n\r\n", elsewhere.addr());
    let temporary = format!("307 Temporary Redirect\r\nLocation: http://{}/\r\n\r\n", elsewhere.addr());
    for refusal in ["400 Bad Request\r\n\r\n", "404 Not Found\r\n\r\n", &redirect, &temporary] {
        chat.answer(refusal);
        let failed = reaches(&t, notify(&t, &refusal[..3]).await[0], "failed").await;
        let error = failed.error.unwrap();
        assert!(failed.attempt == 1 && error.contains(&refusal[..3]), "{error}");
        assert!(!error.contains("secret") && !error.contains("localhost"), "{error}");
    }
    assert!(elsewhere.requests().is_empty(), "a redirect is not followed");
    // A reply that is too long and does not end.
    chat.answer([b"200 OK\r\n\r\n".to_vec(), vec![b'x'; 300_000]].concat());
    reaches(&t, notify(&t, "long").await[0], "succeeded").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_chat_times_out_and_is_retried() {
    let mut t = TestApp::start(Engine::Sqlite).await;
    let chat = chat_for(&mut t).await;
    chat.answer("");
    let worker = t.work();
    let begun = std::time::Instant::now();
    let id = notify(&t, "slow").await[0];
    within(Duration::from_secs(8), "the request times out", || async { row(&t, id).await.error.is_some() })
        .await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(delivery(&t, "chat:slow").await.state, "ambiguous");
    crate::support::make_retry_due(&t, id, 1).await;
    reaches(&t, id, "succeeded").await;
    assert_eq!(chat.requests().len(), 2);
    assert!(delivery(&t, "chat:slow").await.resent);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_call_only_allowed_https_hosts() {
    let mut t = TestApp::start(Engine::Sqlite).await;
    let chat = chat_for(&mut t).await;
    let port = chat.addr().port();
    let good = t.app.chat_rules.clone();
    let public = Rules { is_address_allowed: shared::platform::http::address::is_public, ..good.clone() };
    let elsewhere = Rules::public("chat.googleapis.com");
    let distrusting = Rules { root_certificate: None, ..good.clone() };
    let secret = "key=a-secret-key";
    for (rules, url, says) in [
        (&public, format!("https://localhost:{port}/?{secret}"), "a forbidden address"),
        (&elsewhere, format!("https://localhost:{port}/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com@localhost:{port}/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://x@chat.googleapis.com/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com:{port}/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com.example.com/?{secret}"), "its host is not"),
        (&elsewhere, format!("http://chat.googleapis.com/?{secret}"), "does not begin with https"),
        (&elsewhere, format!("ftp://chat.googleapis.com/?{secret}"), "does not begin with https"),
        (&elsewhere, format!("/{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com/ {secret}"), "it is malformed"),
        (&distrusting, format!("https://localhost:{port}/?{secret}"), "certificate is not trusted"),
    ] {
        let post = shared::platform::http::Post {
            url: url.clone().into(),
            authorization: None,
            body: shared::platform::http::Body::Json(json!({})),
        };
        let refused = shared::platform::http::send(rules, post.clone()).await.unwrap_err().to_string();
        assert!(refused.contains(says) && !refused.contains("secret"), "{url}: {refused}");
        assert!(!format!("{post:?}").contains("secret"));
    }
    assert!(chat.requests().is_empty());
    let post = shared::platform::http::Post {
        url: format!("https://localhost:{port}/").into(),
        authorization: None,
        body: shared::platform::http::Body::Json(json!({})),
    };
    assert_eq!(shared::platform::http::send(&good, post).await.unwrap().status, 200);
}

/// A fake Twilio, and an application that uses it.
pub(crate) async fn with_sms(engine: Engine) -> (TestApp, HttpSink) {
    let twilio = HttpSink::start(None).await.unwrap();
    let url = format!("http://{}", twilio.addr());
    let t = TestApp::start_with(
        engine,
        &[
            ("TWILIO_ACCOUNT_SID", "AC0123"),
            ("TWILIO_AUTH_TOKEN", "a-secret-token"),
            ("TWILIO_FROM", "+15005550006"),
            ("TWILIO_API_URL", &url),
        ],
    )
    .await;
    (t, twilio)
}

/// A user with this phone number who has just booked a spot, and the job of the SMS.
async fn booking(t: &TestApp, name: &str, phone: &str) -> (i64, Uuid) {
    let (driver, lot) = (t.driver(name).await, t.lot(1).await);
    // Not by the API, which accepts complete numbers only.
    let text = "UPDATE users SET phone_number = $2, phone_verified_at = created_at WHERE id = $1";
    testkit::change(t, text, [driver.id.into(), phone.into()]).await.unwrap();
    let reservation = t.book(&driver, lot).await;
    let text =
        format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-sms' AND unique_key = '{reservation}'");
    assert_eq!(number(t, &text).await, 1);
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    use shared::jobs::ledger::row::{Column, Entity};
    let job = Entity::find()
        .filter(Column::Kind.eq("send-sms"))
        .filter(Column::UniqueKey.eq(reservation.to_string()))
        .one(t.app.db.read())
        .await
        .unwrap();
    (reservation, job.unwrap().id)
}

#[tokio::test(flavor = "multi_thread")]
async fn booking_is_confirmed_by_sms_once() {
    testkit::together(async |engine| {
        let (t, twilio) = with_sms(engine).await;
        twilio.answer("201 Created\r\nContent-Type: application/json\r\n\r\n{\"sid\": \"SM1\"}");
        let (reservation, job) = booking(&t, "Asha", "+91 98765-43210").await;
        let worker = t.work();
        reaches(&t, job, "succeeded").await;
        execute(&t, "UPDATE jobs SET state = 'queued', finished_at = NULL WHERE id = $1", [job.into()]).await;
        reaches(&t, job, "succeeded").await;
        let requests = twilio.requests();
        assert_eq!(requests.len(), 1, "the second run sends nothing");
        let request = &requests[0];
        assert_eq!(
            (&*request.method, &*request.target),
            ("POST", "/2010-04-01/Accounts/AC0123/Messages.json")
        );
        // AC0123:a-secret-token
        assert_eq!(request.header("authorization"), Some("Basic QUMwMTIzOmEtc2VjcmV0LXRva2Vu"));
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        let fields: Vec<&str> = request.body.split('&').collect();
        assert_eq!(fields[..2], ["To=%2B919876543210", "From=%2B15005550006"]);
        let text = fields[2].strip_prefix("Body=").unwrap().replace('+', " ").replace("%20", " ");
        assert!(text.starts_with("Parkade%3A spot 1 at Main Street is yours from "), "{text}");
        assert!(text.contains(&format!("Booking {reservation}.")), "{text}");
        let sent = delivery(&t, &format!("sms:confirmation:{reservation}")).await;
        assert_eq!((&*sent.channel, &*sent.state), ("sms", "sent"));
        worker.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sms_outcome_follows_the_twilio_reply() {
    let (t, twilio) = with_sms(Engine::Sqlite).await;
    let worker = t.work();
    twilio.answer("429 Too Many Requests\r\n\r\n");
    let (_, busy) = booking(&t, "Asha", "+919876543210").await;
    crate::support::make_retry_due(&t, busy, 1).await;
    assert_eq!(reaches(&t, busy, "succeeded").await.attempt, 2);

    twilio.answer(
        "400 Bad Request\r\nContent-Type: application/json\r\n\r\n{\"code\": 21211, \"message\": \"The 'To' number +919876543211 is not valid\"}",
    );
    let (_, refused) = booking(&t, "Ravi", "+919876543211").await;
    let failed = reaches(&t, refused, "failed").await;
    let error = failed.error.unwrap();
    assert!(failed.attempt == 1 && error.contains("400") && error.contains("21211"), "{error}");
    assert!(!error.contains("98765") && !error.contains("secret"), "{error}");

    twilio.answer("");
    let (reservation, held) = booking(&t, "Meera", "+919876543212").await;
    let failed = reaches(&t, held, "failed").await;
    assert!(failed.error.unwrap().contains("requeue the job"));
    assert_eq!(delivery(&t, &format!("sms:confirmation:{reservation}")).await.state, "ambiguous");
    assert_eq!(twilio.requests().len(), 4);

    let (_, local) = booking(&t, "Kiran", "12345").await;
    let skipped = reaches(&t, local, "succeeded").await.result.unwrap();
    assert!(skipped.contains("the phone number must have") && !skipped.contains("12345"), "{skipped}");
    assert_eq!(twilio.requests().len(), 4);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sms_wait_for_a_verified_address_if_that_is_required() {
    let (mut t, twilio) = with_sms(Engine::Sqlite).await;
    change(&mut t, |config| config.require_verified_email = true);
    let (_, unverified) = booking(&t, "Asha", "+919876543210").await;
    let (_, verified) = booking(&t, "Ravi", "+919876543211").await;
    execute(&t, "UPDATE users SET email_verified = TRUE WHERE username = 'Ravi'", []).await;
    let worker = t.work();
    let skipped = reaches(&t, unverified, "succeeded").await.result.unwrap();
    assert!(skipped.contains("has not verified the mail address"), "{skipped}");
    reaches(&t, verified, "succeeded").await;
    assert_eq!(twilio.requests().len(), 1);
    worker.stop().await;
}

/// In a real process, with a proxy in its environment and the finest log level.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_log_no_secrets_and_use_no_proxy() {
    let (t, twilio) = with_sms(Engine::Sqlite).await;
    let (_, job) = booking(&t, "Asha", "+919876543210").await;
    let proxy = "http://127.0.0.1:1";
    let proxies =
        [("HTTP_PROXY", proxy), ("http_proxy", proxy), ("ALL_PROXY", proxy), ("LOG_LEVEL", "trace")];
    let worker = Processes::of(&t, &proxies).worker();
    reaches(&t, job, "succeeded").await;
    assert_eq!(twilio.requests().len(), 1);
    let log = worker.log();
    assert!(log.contains("send-sms"), "{log}");
    for secret in ["a-secret-token", "QUMwMTIz", "98765"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sms_without_a_twilio_account() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (driver, lot) = (t.driver("Asha").await, t.lot(1).await);
    t.book(&driver, lot).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-sms'").await, 0);
}

/// Inserts a job that failed at `when`.
async fn insert_failed_job(t: &TestApp, when: DateTime<Utc>) {
    let job = NewJob::of(&Probe::<MAINTENANCE>::new(&[Act::Succeed])).unwrap();
    let id = ledger::insert(t.app.db.write(), when, &job).await.unwrap().id;
    let text = "UPDATE jobs SET state = 'failed', finished_at = $2, error = 'internal error: with details' WHERE id = $1";
    assert_eq!(execute(t, text, [id.into(), at(when)]).await, 1);
}

/// The payloads of all notices so far, oldest first.
async fn notices(t: &TestApp) -> Vec<String> {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
    use shared::jobs::ledger::row::{Column, Entity};
    let found = Entity::find().filter(Column::Kind.eq("send-notice")).order_by_asc(Column::Id);
    found.all(t.app.db.read()).await.unwrap().into_iter().map(|job| job.payload).collect()
}

#[testkit::both_databases(together)]
async fn dead_job_alert_is_hourly_across_workers(t: TestApp) {
    t.admin().await;
    let start = "2026-11-20T13:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let after = |minutes| start + TimeDelta::minutes(minutes);
    let check = async |now: DateTime<Utc>| {
        let mut checks = Vec::new();
        for _ in 0..5 {
            let app = t.app.with_clock(Clock::fixed(now));
            checks.push(tokio::spawn(async move { alert::check_failed_jobs(&app).await.unwrap() }));
        }
        for one in checks {
            one.await.unwrap();
        }
        notices(&t).await
    };
    assert_eq!(check(start).await.len(), 0, "no job has failed");
    for minute in [0, 1, 2] {
        insert_failed_job(&t, after(minute)).await;
    }
    let sent = check(after(3)).await;
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains(r#"["Failed since the last alert","3"]"#), "{}", sent[0]);
    assert!(
        sent[0].contains("probe-maintenance") && sent[0].contains(r#"["Reason","internal error"]"#),
        "{}",
        sent[0]
    );
    insert_failed_job(&t, after(4)).await;
    insert_failed_job(&t, after(30)).await;
    assert_eq!(check(after(62)).await.len(), 1, "the last alert is less than an hour old");
    let sent = check(after(63)).await;
    assert_eq!(sent.len(), 2);
    assert!(sent[1].contains(r#"["Failed since the last alert","2"]"#), "{}", sent[1]);
    // The alert mails fail, too, and must not cause further alerts.
    let text = "UPDATE jobs SET state = 'failed', finished_at = $1 WHERE kind = 'send-notice'";
    assert_eq!(execute(&t, text, [at(after(64))]).await, 2);
    assert_eq!(check(after(200)).await.len(), 2);
    insert_failed_job(&t, after(201)).await;
    assert_eq!(check(after(202)).await.len(), 3);
}

#[testkit::both_databases(together)]
async fn alert_counts_suppressed_occurrences(t: TestApp) {
    t.admin().await;
    let start = "2026-11-20T13:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let raise = async |minutes| {
        let app = t.app.with_clock(Clock::fixed(start + TimeDelta::minutes(minutes)));
        alert::raise(&app, Alert::RedisLost, "A worker does not reach Redis", Vec::new()).await.unwrap().len()
    };
    let at_once = futures::future::join_all((0..8).map(|_| raise(0))).await;
    assert_eq!(at_once.iter().sum::<usize>(), 1);
    for (minutes, sent) in [(10, 0), (20, 0), (59, 0), (60, 1), (121, 1)] {
        assert_eq!(raise(minutes).await, sent, "after {minutes} minutes");
    }
    let sent = notices(&t).await;
    assert_eq!(sent.len(), 3);
    assert!(!sent[0].contains("suppressed") && !sent[2].contains("suppressed"));
    assert!(sent[1].contains(r#"["Alerts suppressed since the last one","3"]"#), "{}", sent[1]);
}

#[testkit::both_databases]
async fn dead_job_alert_goes_by_mail_and_chat(mut t: TestApp) {
    let (admin, chat) = (t.admin().await, chat_for(&mut t).await);
    let worker = t.work_with(registry());
    let probe = Probe::<MAINTENANCE>::new(&[Act::FailForGood]);
    let id = enqueue(&t, &probe).await;
    reaches(&t, id, "failed").await;
    within(Duration::from_secs(20), "the chat has the notice", || async { chat.requests().len() == 1 }).await;
    let title = "A job failed permanently: probe-maintenance";
    assert!(posted(&chat)[0].starts_with(&format!("*{title}*\n")), "{:?}", posted(&chat));
    assert!(posted(&chat)[0].contains(&format!("Id: {id}\nReason: never\n")), "{:?}", posted(&chat));
    t.eventually("the administrator has the mail", || async {
        t.mails().iter().any(|mail| mail.subject == title && mail.to_address == admin.email)
    })
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_alert_is_raised_once_across_workers() {
    testkit::together(async |engine| {
        let t = TestApp::start_with(engine, &[("ALERT_DISK_PERCENT", "1")]).await;
        t.admin().await;
        let workers = [t.work(), t.work()];
        let is_alert = |mail: &shared::platform::mailer::Mail| mail.subject == "A disk is nearly full";
        t.eventually("the alert mail is sent", || async { t.mails().iter().any(is_alert) }).await;
        let mails = t.mails();
        let mail = mails.iter().find(|mail| is_alert(mail)).unwrap();
        assert!(mail.text.contains("Used: ") && mail.text.contains("Limit: 1 %"), "{}", mail.text);
        for worker in workers {
            worker.stop().await;
        }
        assert_eq!(t.mails().into_iter().filter(is_alert).count(), 1);
    })
    .await;
}

#[testkit::both_databases(together)]
async fn redis_outage_raises_alert_and_all_clear(mut t: TestApp, mut redis: Redis) {
    let (admin, chat) = (t.admin().await, chat_for(&mut t).await);
    let worker = t.work();
    t.driver("Asha").await;
    t.eventually("the welcome mail is sent", || async { t.mails().len() == 1 }).await;
    redis.kill().await.unwrap();
    let has = |subject: &str| {
        t.mails().iter().any(|mail| mail.subject == subject && mail.to_address == admin.email)
    };
    within(Duration::from_secs(60), "the alert that Redis is lost", || async {
        has("A worker does not reach Redis")
    })
    .await;
    within(Duration::from_secs(10), "the chat has the alert", || async {
        posted(&chat).iter().any(|text| text.contains("does not reach Redis"))
    })
    .await;
    assert!(!has("Redis responds again"));
    redis.restart().await.unwrap();
    within(Duration::from_secs(20), "the notice that Redis is back", || async {
        has("Redis responds again")
    })
    .await;
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn smtp_login_refusal_alerts_and_fails_no_mail(t: TestApp) {
    let clock = Clock::fixed(t.app.clock.now());
    let mut t = t.at(clock.clone()).await;
    let (_admin, chat) = (t.admin().await, chat_for(&mut t).await);
    let options = Options { login: Some(("parkade".into(), "right".into())), ..Options::default() };
    let sink = MailSink::start_with("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let mut mail = t.app.config.mail.clone();
    mail.server = Some("127.0.0.1".into());
    mail.port = sink.addr().port();
    mail.use_tls = false;
    mail.credentials = Some(("parkade".into(), "wrong".to_owned().into()));
    t.app = t.app.with(|app| app.mailer = Mailer::from_config(&mail).unwrap());
    let asha = t.driver("Asha").await;
    let worker = t.work_with(Registry::default());
    let welcome = format!(
        "SELECT COUNT(*) AS n FROM jobs
         WHERE kind = 'send-welcome' AND owner_id = {} AND state = 'queued' AND held AND attempt = 0",
        asha.id
    );
    within(Duration::from_secs(20), "the welcome mail is held", || async { number(&t, &welcome).await == 1 })
        .await;
    clock.advance(TimeDelta::seconds(31));
    within(Duration::from_secs(20), "the chat has the alert", || async { chat.requests().len() == 1 }).await;
    let text = posted(&chat).remove(0);
    assert!(text.starts_with("*The mail server rejects our mail*") && text.contains("535"), "{text}");
    assert!(
        text.contains("check MAIL_USERNAME and MAIL_PASSWORD") && !text.contains("wrong user@"),
        "{text}"
    );
    assert_eq!((sink.messages().len(), chat.requests().len()), (0, 1));
    worker.stop().await;
}
