//! What administrators are told by mail and in their chat, and drivers by SMS.

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
        tell_administrators,
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

/// A chat that `t` posts to.
async fn chat_for(t: &mut TestApp) -> HttpSink {
    let authority = Authority::new().unwrap();
    let chat = HttpSink::start(Some(authority.acceptor(&["localhost"]).unwrap())).await.unwrap();
    let host = format!("localhost:{}", chat.addr().port());
    change(t, |config| config.notices.chat = Some(format!("https://{host}{KEY}").into()));
    t.app.chat_rules = Rules {
        authority: host,
        reachable: |address| address.is_loopback(),
        clear: false,
        trusted: Some(authority.pem().into()),
    };
    chat
}

fn change(t: &mut TestApp, change: impl FnOnce(&mut Config)) {
    let mut config = (*t.app.config).clone();
    change(&mut config);
    t.app.config = Arc::new(config);
}

/// Tells administrators of something; returns the jobs that do.
async fn tell(t: &TestApp, key: &str) -> Vec<Uuid> {
    let facts = vec![("Who".to_owned(), "Ann <users/all> *x*".to_owned())];
    let notice = Notice { key: key.into(), title: "Something has happened".into(), facts };
    let mut told = Vec::new();
    for job in tell_administrators(&t.app.config, t.app.db.read(), &notice).await.unwrap() {
        told.push(ledger::insert(t.app.db.write(), t.app.clock.now(), &job).await.unwrap());
    }
    queue::announce(&t.app.redis, &told).await;
    told.iter().map(|job| job.id).collect()
}

/// What the chat was told, as text.
fn posted(chat: &HttpSink) -> Vec<String> {
    let text = |body: &str| {
        serde_json::from_str::<serde_json::Value>(body).unwrap()["text"].as_str().unwrap().to_owned()
    };
    chat.requests().iter().map(|request| text(&request.body)).collect()
}

#[testkit::both_databases]
async fn administrators_are_told_by_mail_and_in_the_chat_once(mut t: TestApp) {
    let (admin, chat) = (t.admin().await, chat_for(&mut t).await);
    t.driver("Asha").await;
    let worker = t.work();
    let told = tell(&t, "test:1").await;
    assert_eq!(told.len(), 2, "one administrator, and the chat");
    for id in &told {
        reaches(&t, *id, "succeeded").await;
    }
    for id in tell(&t, "test:1").await {
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
async fn a_chat_that_is_busy_is_asked_again_and_one_that_refuses_is_not(mut t: TestApp) {
    let chat = chat_for(&mut t).await;
    let elsewhere = HttpSink::start(None).await.unwrap();
    let worker = t.work();
    for busy in ["429 Too Many Requests\r\n\r\n", "503 Unavailable\r\n\r\n"] {
        chat.answer(busy);
        let id = tell(&t, busy).await[0];
        crate::support::hurry(&t, id, 1).await;
        assert_eq!(reaches(&t, id, "succeeded").await.attempt, 2);
    }
    let redirect = format!("302 Found\r\nLocation: http://{}/\r\n\r\n", elsewhere.addr());
    let temporary = format!("307 Temporary Redirect\r\nLocation: http://{}/\r\n\r\n", elsewhere.addr());
    for refusal in ["400 Bad Request\r\n\r\n", "404 Not Found\r\n\r\n", &redirect, &temporary] {
        chat.answer(refusal);
        let failed = reaches(&t, tell(&t, &refusal[..3]).await[0], "failed").await;
        let error = failed.error.unwrap();
        assert!(failed.attempt == 1 && error.contains(&refusal[..3]), "{error}");
        assert!(!error.contains("secret") && !error.contains("localhost"), "{error}");
    }
    assert!(elsewhere.requests().is_empty(), "a redirect is not followed");
    // More than anybody wants to read, and a body that does not end.
    chat.answer([b"200 OK\r\n\r\n".to_vec(), vec![b'x'; 300_000]].concat());
    reaches(&t, tell(&t, "long").await[0], "succeeded").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_does_not_answer_is_given_up_after_five_seconds_and_posted_to_again() {
    let mut t = TestApp::start(Engine::Sqlite).await;
    let chat = chat_for(&mut t).await;
    chat.answer("");
    let worker = t.work();
    let begun = std::time::Instant::now();
    let id = tell(&t, "slow").await[0];
    within(Duration::from_secs(8), "it is given up", || async { row(&t, id).await.error.is_some() }).await;
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(delivery(&t, "chat:slow").await.state, "ambiguous");
    crate::support::hurry(&t, id, 1).await;
    reaches(&t, id, "succeeded").await;
    assert_eq!(chat.requests().len(), 2);
    assert!(delivery(&t, "chat:slow").await.resent);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_allowed_host_at_an_allowed_address_is_called_and_only_encrypted() {
    let mut t = TestApp::start(Engine::Sqlite).await;
    let chat = chat_for(&mut t).await;
    let port = chat.addr().port();
    let good = t.app.chat_rules.clone();
    let public = Rules { reachable: shared::platform::http::address::is_public, ..good.clone() };
    let elsewhere = Rules::public("chat.googleapis.com");
    let distrusting = Rules { trusted: None, ..good.clone() };
    let secret = "key=a-secret-key";
    for (rules, url, says) in [
        (&public, format!("https://localhost:{port}/?{secret}"), "an address that may not be called"),
        (&elsewhere, format!("https://localhost:{port}/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com@localhost:{port}/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://x@chat.googleapis.com/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com:{port}/?{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com.example.com/?{secret}"), "its host is not"),
        (&elsewhere, format!("http://chat.googleapis.com/?{secret}"), "does not begin with https"),
        (&elsewhere, format!("ftp://chat.googleapis.com/?{secret}"), "does not begin with https"),
        (&elsewhere, format!("/{secret}"), "its host is not"),
        (&elsewhere, format!("https://chat.googleapis.com/ {secret}"), "it is no URL"),
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

/// Twilio's double and an application that sends by it.
async fn with_sms(engine: Engine) -> (TestApp, HttpSink) {
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

/// Somebody with this phone number who has just booked a spot; the job of the SMS.
async fn booking(t: &TestApp, name: &str, phone: &str) -> (i64, Uuid) {
    let (driver, lot) = (t.driver(name).await, t.lot(1).await);
    t.put(&format!("/users/{}", driver.id), Some(&driver), json!({ "phone_number": phone }))
        .await
        .expect(200);
    let reservation = t.book(&driver, lot).await;
    let text =
        format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-sms' AND unique_key = '{reservation}'");
    assert_eq!(number(t, &text).await, 1);
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    use shared::platform::entities::job::{Column, Entity};
    let job = Entity::find()
        .filter(Column::Kind.eq("send-sms"))
        .filter(Column::UniqueKey.eq(reservation.to_string()))
        .one(t.app.db.read())
        .await
        .unwrap();
    (reservation, job.unwrap().id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_is_confirmed_by_sms_once() {
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
async fn an_sms_is_tried_again_refused_or_held_by_what_twilio_says() {
    let (t, twilio) = with_sms(Engine::Sqlite).await;
    let worker = t.work();
    twilio.answer("429 Too Many Requests\r\n\r\n");
    let (_, busy) = booking(&t, "Asha", "+919876543210").await;
    crate::support::hurry(&t, busy, 1).await;
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

    let (_, local) = booking(&t, "Kiran", "9876543213").await;
    let skipped = reaches(&t, local, "succeeded").await.result.unwrap();
    assert!(skipped.contains("does not begin with +") && !skipped.contains("98765"), "{skipped}");
    assert_eq!(twilio.requests().len(), 4);
    worker.stop().await;
}

/// By a real process, which finds a proxy in its environment, and logs all it can.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_number_is_in_the_log_and_no_proxy_is_used() {
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
async fn without_an_account_nobody_gets_an_sms() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (driver, lot) = (t.driver("Asha").await, t.lot(1).await);
    t.book(&driver, lot).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-sms'").await, 0);
}

/// Writes a job that died at `when`.
async fn dies(t: &TestApp, when: DateTime<Utc>) {
    let job = NewJob::of(&Probe::<MAINTENANCE>::new(&[Act::Succeed])).unwrap();
    let id = ledger::insert(t.app.db.write(), when, &job).await.unwrap().id;
    let text = "UPDATE jobs SET state = 'failed', finished_at = $2, error = 'internal error: with details' WHERE id = $1";
    assert_eq!(execute(t, text, [id.into(), at(when)]).await, 1);
}

/// Payloads of the notices so far, oldest first.
async fn notices(t: &TestApp) -> Vec<String> {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
    use shared::platform::entities::job::{Column, Entity};
    let found = Entity::find().filter(Column::Kind.eq("send-notice")).order_by_asc(Column::Id);
    found.all(t.app.db.read()).await.unwrap().into_iter().map(|job| job.payload).collect()
}

#[testkit::both_databases(together)]
async fn dead_jobs_are_told_of_once_an_hour_by_whatever_number_of_workers(t: TestApp) {
    t.admin().await;
    let start = "2026-11-20T13:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let after = |minutes| start + TimeDelta::minutes(minutes);
    let look = async |now: DateTime<Utc>| {
        let mut looking = Vec::new();
        for _ in 0..5 {
            let mut app = t.app.clone();
            app.clock = Clock::fixed(now);
            looking.push(tokio::spawn(async move { alert::of_dead_jobs(&app).await.unwrap() }));
        }
        for one in looking {
            one.await.unwrap();
        }
        notices(&t).await
    };
    assert_eq!(look(start).await.len(), 0, "nothing has died");
    for minute in [0, 1, 2] {
        dies(&t, after(minute)).await;
    }
    let told = look(after(3)).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(r#"["Dead since the last alert","3"]"#), "{}", told[0]);
    assert!(
        told[0].contains("probe-maintenance") && told[0].contains(r#"["Reason","internal error"]"#),
        "{}",
        told[0]
    );
    dies(&t, after(4)).await;
    dies(&t, after(30)).await;
    assert_eq!(look(after(62)).await.len(), 1, "less than an hour ago");
    let told = look(after(63)).await;
    assert_eq!(told.len(), 2);
    assert!(told[1].contains(r#"["Dead since the last alert","2"]"#), "{}", told[1]);
    // The mails about all that die, too. Nobody is to be told of that, by mails that die.
    let text = "UPDATE jobs SET state = 'failed', finished_at = $1 WHERE kind = 'send-notice'";
    assert_eq!(execute(&t, text, [at(after(64))]).await, 2);
    assert_eq!(look(after(200)).await.len(), 2);
    dies(&t, after(201)).await;
    assert_eq!(look(after(202)).await.len(), 3);
}

#[testkit::both_databases(together)]
async fn an_alert_says_how_many_were_held_back_before_it(t: TestApp) {
    t.admin().await;
    let start = "2026-11-20T13:00:00Z".parse::<DateTime<Utc>>().unwrap();
    let raise = async |minutes| {
        let mut app = t.app.clone();
        app.clock = Clock::fixed(start + TimeDelta::minutes(minutes));
        alert::raise(&app, Alert::RedisLost, "A worker does not reach Redis", Vec::new()).await.unwrap().len()
    };
    let at_once = futures::future::join_all((0..8).map(|_| raise(0))).await;
    assert_eq!(at_once.iter().sum::<usize>(), 1);
    for (minutes, told) in [(10, 0), (20, 0), (59, 0), (60, 1), (121, 1)] {
        assert_eq!(raise(minutes).await, told, "after {minutes} minutes");
    }
    let told = notices(&t).await;
    assert_eq!(told.len(), 3);
    assert!(!told[0].contains("held back") && !told[2].contains("held back"));
    assert!(told[1].contains(r#"["Alerts held back since the last one","3"]"#), "{}", told[1]);
}

#[testkit::both_databases]
async fn a_job_that_dies_is_told_of_by_mail_and_in_the_chat(mut t: TestApp) {
    let (admin, chat) = (t.admin().await, chat_for(&mut t).await);
    let worker = t.work_with(registry());
    let probe = Probe::<MAINTENANCE>::new(&[Act::FailForGood]);
    let id = enqueue(&t, &probe).await;
    reaches(&t, id, "failed").await;
    within(Duration::from_secs(20), "the chat is told", || async { chat.requests().len() == 1 }).await;
    let title = "A job has failed for good: probe-maintenance";
    assert!(posted(&chat)[0].starts_with(&format!("*{title}*\n")), "{:?}", posted(&chat));
    assert!(posted(&chat)[0].contains(&format!("Id: {id}\nReason: never\n")), "{:?}", posted(&chat));
    t.eventually("the administrator has a mail", || async {
        t.mails().iter().any(|mail| mail.subject == title && mail.to_address == admin.email)
    })
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_is_told_of_once_by_two_workers() {
    testkit::together(async |engine| {
        let t = TestApp::start_with(engine, &[("ALERT_DISK_PERCENT", "1")]).await;
        t.admin().await;
        let workers = [t.work(), t.work()];
        let is_told = |mail: &shared::platform::mailer::Mail| mail.subject == "A disk is nearly full";
        t.eventually("a mail", || async { t.mails().iter().any(is_told) }).await;
        let mails = t.mails();
        let mail = mails.iter().find(|mail| is_told(mail)).unwrap();
        assert!(mail.text.contains("Used: ") && mail.text.contains("Limit: 1 %"), "{}", mail.text);
        for worker in workers {
            worker.stop().await;
        }
        assert_eq!(t.mails().into_iter().filter(is_told).count(), 1);
    })
    .await;
}

#[testkit::both_databases(together)]
async fn a_lost_redis_is_told_of_while_it_is_away_and_again_when_it_is_back(
    mut t: TestApp,
    mut redis: Redis,
) {
    let (admin, chat) = (t.admin().await, chat_for(&mut t).await);
    let worker = t.work();
    t.driver("Asha").await;
    t.eventually("the welcome mail", || async { t.mails().len() == 1 }).await;
    redis.kill().await.unwrap();
    let has = |subject: &str| {
        t.mails().iter().any(|mail| mail.subject == subject && mail.to_address == admin.email)
    };
    within(Duration::from_secs(60), "the mail that Redis is lost", || async {
        has("A worker does not reach Redis")
    })
    .await;
    within(Duration::from_secs(10), "the chat", || async {
        posted(&chat).iter().any(|text| text.contains("does not reach Redis"))
    })
    .await;
    assert!(!has("Redis answers again"));
    redis.restart().await.unwrap();
    within(Duration::from_secs(20), "the mail that Redis is back", || async { has("Redis answers again") })
        .await;
    worker.stop().await;
}

#[testkit::both_databases(together)]
async fn a_refused_login_fails_no_mail_and_is_told_in_the_chat(mut t: TestApp) {
    let (_admin, chat) = (t.admin().await, chat_for(&mut t).await);
    let options = Options { login: Some(("parkade".into(), "right".into())), ..Options::default() };
    let sink = MailSink::start_with("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let mut mail = t.app.config.mail.clone();
    mail.server = Some("127.0.0.1".into());
    mail.port = sink.addr().port();
    mail.use_tls = false;
    mail.credentials = Some(("parkade".into(), "wrong".to_owned().into()));
    t.app.mailer = Mailer::from_config(&mail).unwrap();
    let asha = t.driver("Asha").await;
    let worker = t.work_with(Registry::default());
    within(Duration::from_secs(20), "the chat is told", || async { chat.requests().len() == 1 }).await;
    let text = posted(&chat).remove(0);
    assert!(text.starts_with("*The mail server takes no mail from us*") && text.contains("535"), "{text}");
    assert!(
        text.contains("check MAIL_USERNAME and MAIL_PASSWORD") && !text.contains("wrong user@"),
        "{text}"
    );
    let welcome = format!(
        "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-welcome' AND owner_id = {} AND state = 'queued' AND attempt >= 1",
        asha.id
    );
    within(Duration::from_secs(20), "the mail waits", || async { number(&t, &welcome).await == 1 }).await;
    assert_eq!((sink.messages().len(), chat.requests().len()), (0, 1));
    worker.stop().await;
}
