//! Reminders: whom they reach, how often, what they say, and what administrators hear of them.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use devstack::{Behaviour, MailSink};
use sea_orm::{FromQueryResult, JsonValue};
use serde_json::json;
use shared::{
    base::clock::Clock,
    jobs::Job,
    parking::{
        notifications::{
            SendReminder, Subscription,
            mailing::{Mailing, Summarise},
        },
        reminders::SendReminders,
    },
    platform::db::sql,
};
use testkit::TestApp;

use crate::support::{
    Booked, book, context, crowd, enqueue, execute, number, people, reaches, send_to, within,
};

/// 18:00 on 24 November in Kolkata.
fn evening() -> DateTime<Utc> {
    "2026-11-24T12:30:00Z".parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The same application in the evening.
async fn in_the_evening(t: &TestApp) -> TestApp {
    t.at(Clock::fixed(evening())).await
}

/// Whom jobs have been asked for, by id.
async fn asked(t: &TestApp) -> Vec<i64> {
    let db = t.app.db.read();
    let text = "SELECT owner_id, payload FROM jobs WHERE kind = 'send-reminder' ORDER BY owner_id";
    let rows = JsonValue::find_by_statement(sql(db, text, [])).all(db).await.unwrap();
    rows.iter().map(|row| row["owner_id"].as_i64().unwrap()).collect()
}

async fn remind(t: &TestApp) -> i64 {
    let due = t.app.clock.now();
    SendReminders { due }.run(&context(t)).await.unwrap().result["asked"].as_i64().unwrap()
}

/// Somebody who came, last logged in and last booked so long ago.
async fn somebody(
    t: &TestApp,
    came: TimeDelta,
    login: Option<TimeDelta>,
    booked: Option<(TimeDelta, &str)>,
) -> i64 {
    let now = t.app.clock.now();
    let id = people(t, 1).await[0];
    let text = "UPDATE users SET created_at = $1, last_login_at = $2 WHERE id = $3";
    let ago = |ago: TimeDelta| shared::platform::db::at(now - ago);
    let login = login.map_or(shared::platform::db::at(None), ago);
    execute(t, text, [ago(came), login, id.into()]).await;
    if let Some((ago, state)) = booked {
        let lot = number(t, "SELECT MIN(id) AS n FROM lots").await;
        let ended = Some(now - ago + TimeDelta::hours(1));
        book(t, Booked { user: id, lot, state, began: now - ago, ended, cost: 2550 }).await;
    }
    id
}

#[testkit::both_databases]
async fn who_has_been_away_for_long_enough_is_reminded_to_the_microsecond(t: TestApp) {
    let t = in_the_evening(&t).await;
    t.lot(20).await;
    let (days, moment) = (TimeDelta::days, TimeDelta::microseconds(1));
    let (old, recent, lately) = (days(300), Some(days(1)), Some((days(1), "completed")));
    let mut away = Vec::new();
    for (reminded, came, login, booked) in [
        // Without login.
        (true, old, Some(days(7)), lately),
        (false, old, Some(days(7) - moment), lately),
        (true, days(7), None, lately),
        (false, days(7) - moment, None, lately),
        // Without booking.
        (true, old, recent, Some((days(14), "completed"))),
        (false, old, recent, Some((days(14) - moment, "completed"))),
        (true, days(14), recent, None),
        (false, days(14) - moment, recent, None),
        // A booking counts whatever became of it.
        (false, old, recent, Some((days(2), "cancelled"))),
        (false, old, recent, Some((days(2), "expired"))),
        // Who is here, or expected.
        (false, old, Some(days(30)), Some((days(20), "active"))),
        (false, old, Some(days(30)), Some((TimeDelta::hours(-5), "reserved"))),
    ] {
        let id = somebody(&t, came, login, booked).await;
        if reminded {
            away.push(id);
        }
    }
    for change in ["role = 'admin'", "reminders_off = TRUE", "deleted_at = created_at"] {
        let id = somebody(&t, old, Some(days(30)), None).await;
        execute(&t, &format!("UPDATE users SET {change} WHERE id = $1"), [id.into()]).await;
    }
    assert_eq!(remind(&t).await, i64::try_from(away.len()).unwrap());
    assert_eq!(asked(&t).await, away);
    assert_eq!(remind(&t).await, 4, "the same four while they wait");
    execute(&t, "UPDATE jobs SET state = 'succeeded', finished_at = created_at", []).await;
    assert_eq!(remind(&t).await, 4, "and when they have ended");
    assert_eq!(asked(&t).await, away);
}

#[testkit::both_databases]
async fn the_days_are_settings(t: TestApp) {
    let changed = [("REMINDER_LOGIN_DAYS", "3"), ("REMINDER_BOOKING_DAYS", "5")];
    let mut t = t.second_process(&changed).await;
    t.app.clock = Clock::fixed(evening());
    t.lot(2).await;
    let days = TimeDelta::days;
    let away = somebody(&t, days(9), Some(days(3)), Some((days(1), "completed"))).await;
    let idle = somebody(&t, days(9), Some(days(1)), Some((days(5), "completed"))).await;
    somebody(&t, days(9), Some(days(2)), Some((days(4), "completed"))).await;
    remind(&t).await;
    assert_eq!(asked(&t).await, [away, idle]);
}

#[testkit::both_databases]
async fn a_reminder_is_not_sent_when_its_reason_is_gone(t: TestApp) {
    let t = in_the_evening(&t).await;
    let lot = t.lot(5).await;
    let now = t.app.clock.now();
    let old = TimeDelta::days(30);
    let mut results = Vec::new();
    for change in ["", "reminders_off = TRUE", "deleted_at = created_at", "last_login_at = $2"] {
        let user_id = somebody(&t, old, Some(old), Some((TimeDelta::days(1), "completed"))).await;
        let set = format!("UPDATE users SET {change} WHERE id = $1");
        match change {
            "" => 0,
            "last_login_at = $2" => execute(&t, &set, [user_id.into(), shared::platform::db::at(now)]).await,
            _ => execute(&t, &set, [user_id.into()]).await,
        };
        let done = SendReminder { user_id, day: day("2026-11-24") }.run(&context(&t)).await.unwrap();
        results.push(done.result);
    }
    let parked = somebody(&t, old, Some(old), None).await;
    book(&t, Booked { user: parked, lot, state: "active", began: now, ended: None, cost: 0 }).await;
    results.push(
        SendReminder { user_id: parked, day: day("2026-11-24") }.run(&context(&t)).await.unwrap().result,
    );
    let skipped = json!({ "skipped": "the user came back, unsubscribed or is gone" });
    assert_eq!(results[0], json!({ "state": "sent" }));
    assert!(results[1..].iter().all(|result| *result == skipped), "{results:?}");
    assert_eq!(t.mails().len(), 1);
}

#[testkit::both_databases]
async fn a_user_gets_one_a_local_day_whoever_asks_how_often(t: TestApp) {
    let clock = Clock::fixed("2026-11-24T18:29:59Z".parse().unwrap());
    let t = t.at(clock.clone()).await;
    let user_id = somebody(&t, TimeDelta::days(30), None, None).await;
    let send =
        async |on: &str| SendReminder { user_id, day: day(on) }.run(&context(&t)).await.unwrap().result;
    assert_eq!(send("2026-11-24").await["state"], "sent");
    assert_eq!(send("2026-11-24").await["state"], "sent");
    assert_eq!(t.mails().len(), 1);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(send("2026-11-24").await["skipped"], "its day is over");
    assert_eq!(send("2026-11-25").await["state"], "sent");
    assert_eq!(send("2026-11-25").await["state"], "sent");
    assert_eq!(t.mails().len(), 2);
    let keys = number(&t, &format!("SELECT COUNT(*) AS n FROM email_deliveries WHERE key IN ('reminder:{user_id}:2026-11-24', 'reminder:{user_id}:2026-11-25')")).await;
    assert_eq!(keys, 2);
}

#[testkit::both_databases]
async fn a_reminder_names_the_lots_that_were_used_most_and_then_the_emptiest(t: TestApp) {
    let t = in_the_evening(&t).await;
    let (rare, often, full, closed) = (t.lot(4).await, t.lot(4).await, t.lot(1).await, t.lot(1).await);
    let (half, empty) = (t.lot(2).await, t.lot(9).await);
    for (lot, name) in [
        (rare, "Rare"),
        (often, "Often"),
        (full, "Full"),
        (closed, "Closed"),
        (half, "Half"),
        (empty, "Empty"),
    ] {
        execute(&t, "UPDATE lots SET location_name = $2 WHERE id = $1", [lot.into(), name.into()]).await;
    }
    let now = t.app.clock.now();
    let user = somebody(&t, TimeDelta::days(300), Some(TimeDelta::days(20)), None).await;
    let stay = async |lot: i64, days: i64, minutes: i64| {
        let began = now - TimeDelta::days(days);
        let ended = Some(began + TimeDelta::minutes(minutes));
        book(&t, Booked { user, lot, state: "completed", began, ended, cost: 2550 }).await;
    };
    for days in 100..103 {
        stay(often, days, 60).await;
        stay(full, days - 50, 60).await;
        stay(closed, days - 20, 60).await;
    }
    stay(rare, 40, 90).await;
    let others = people(&t, 2).await;
    for (user, lot) in [(others[0], full), (others[1], half)] {
        book(&t, Booked { user, lot, state: "active", began: now, ended: None, cost: 0 }).await;
    }
    execute(
        &t,
        "UPDATE lots SET archived_at = $2 WHERE id = $1",
        [closed.into(), shared::platform::db::at(now)],
    )
    .await;
    SendReminder { user_id: user, day: day("2026-11-24") }.run(&context(&t)).await.unwrap();
    let mail = t.mails().pop().unwrap();
    let places = ["Often\n", "Rare\n", "Empty\n"]
        .map(|name| mail.text.find(name).unwrap_or_else(|| panic!("{name} in {}", mail.text)));
    assert!(places.is_sorted(), "{}", mail.text);
    assert!(!["Full", "Closed", "Half"].iter().any(|name| mail.text.contains(name)), "{}", mail.text);
    // Ten stays: nine of an hour and one of an hour and a half.
    for part in [
        "for 20 days",
        "Bookings      10\n",
        "Hours parked  10.5\n",
        "Spent         INR 255.00\n",
        "4 free, INR 25.50 an hour",
        "9 free",
    ] {
        assert!(mail.text.contains(part), "{part} in {}", mail.text);
    }
    assert_eq!(mail.subject, "A spot is waiting for you at Often");
}

#[testkit::both_databases]
async fn a_run_that_is_killed_goes_on_where_it_stood(t: TestApp) {
    const COUNT: i64 = 3_000;
    let t = in_the_evening(&t).await;
    crowd(&t, COUNT, evening() - TimeDelta::days(30)).await;
    let killed = context(&t);
    let running =
        tokio::spawn(async move { SendReminders { due: evening() }.run(&killed).await.map(|_| ()) });
    let jobs = async || number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-reminder'").await;
    within(Duration::from_secs(20), "a page", || async { jobs().await > 0 }).await;
    running.abort();
    let _ = running.await;
    let before = jobs().await;
    assert!(before < COUNT && before % 500 == 0, "whole pages: {before}");
    let again = context(&t);
    let began = std::time::Instant::now();
    let done = SendReminders { due: evening() }.run(&again).await.unwrap();
    eprintln!("{:?}: asked for {} mails in {:?}", t.engine, COUNT - before, began.elapsed());
    assert_eq!(done.result["asked"], COUNT);
    assert_eq!(jobs().await, COUNT);
    let users: BTreeSet<_> = asked(&t).await.into_iter().collect();
    assert_eq!(users.len(), usize::try_from(COUNT).unwrap());
    let (current, total) = again.progress.get();
    assert!(current == total && total >= COUNT);
}

#[testkit::both_databases]
async fn a_summary_that_waited_long_enough_says_what_still_waits(t: TestApp) {
    let clock = Clock::fixed(evening());
    let t = t.at(clock.clone()).await;
    t.admin().await;
    crowd(&t, 3, evening() - TimeDelta::days(30)).await;
    remind(&t).await;
    let mailing = Mailing { what: Subscription::Reminders, about: day("2026-11-24"), due: evening() };
    let summary = Summarise { mailing, asked_at: evening(), looks: 3 };
    clock.advance(TimeDelta::hours(6) - TimeDelta::microseconds(1));
    let early = summary.run(&context(&t)).await.unwrap();
    assert_eq!((early.result, early.then.len()), (json!({ "waiting": 3 }), 1));
    clock.advance(TimeDelta::microseconds(1));
    let done = summary.run(&context(&t)).await.unwrap();
    assert_eq!(done.result[0], json!(["Asked for", "3"]));
    assert_eq!(done.result[4], json!(["Still waiting", "3"]));
    assert_eq!(done.then.len(), 1, "a mail to the one administrator");
}

#[testkit::both_databases]
async fn administrators_hear_what_became_of_every_reminder(mut t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    send_to(&mut t, &sink);
    let (admin, lot) = (t.admin().await, t.lot(5).await);
    crowd(&t, 7, t.app.clock.now() - TimeDelta::days(30)).await;
    execute(&t, "DELETE FROM jobs", []).await;
    let pause = "INSERT INTO paused_queues (queue, paused_at) VALUES ('mail', $1)";
    execute(&t, pause, [shared::platform::db::at(t.app.clock.now())]).await;
    let workers = [t.work(), t.work()];
    let due = t.app.clock.now();
    let id = enqueue(&t, &SendReminders { due }).await;
    assert_eq!(reaches(&t, id, "succeeded").await.result.unwrap(), "{\"asked\":7}");
    // Asked again while all still wait, by whoever.
    let again = enqueue(&t, &SendReminders { due: due + TimeDelta::seconds(1) }).await;
    reaches(&t, again, "succeeded").await;
    let users = asked(&t).await;
    assert_eq!(users.len(), 7);
    book(&t, Booked { user: users[0], lot, state: "active", began: due, ended: None, cost: 0 }).await;
    execute(&t, "UPDATE users SET reminders_off = TRUE WHERE id = $1", [users[1].into()]).await;
    execute(&t, "UPDATE users SET deleted_at = created_at WHERE id = $1", [users[2].into()]).await;
    sink.script(vec![Behaviour::Permanent]);
    execute(&t, "DELETE FROM paused_queues", []).await;
    // Three reminders, and a summary of each run.
    let mails = sink.wait_for(|mails| mails.len() == 5, Duration::from_secs(40)).await.unwrap();
    let (summaries, reminders): (Vec<_>, Vec<_>) =
        mails.iter().partition(|mail| mail.header("Subject").unwrap().starts_with("Reminders of "));
    let recipients: BTreeSet<_> = reminders.iter().map(|mail| mail.to[0].clone()).collect();
    assert_eq!((summaries.len(), recipients.len()), (2, 3));
    for summary in summaries {
        assert_eq!(summary.to, std::slice::from_ref(&admin.email));
        let text = summary.text().unwrap().replace("\r\n", "\n");
        let facts = "  Asked for: 7\n  Sent: 3\n  Skipped: 3\n  Failed: 1\n  Logins that day: 1\n  Bookings that day: 0\n";
        assert!(text.contains(facts), "{text}");
    }
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM user_activity WHERE subject = 'reminder'").await, 3);
}

#[testkit::both_databases]
async fn the_link_in_a_reminder_ends_them(mut t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    send_to(&mut t, &sink);
    t.lot(3).await;
    crowd(&t, 2, t.app.clock.now() - TimeDelta::days(30)).await;
    let worker = t.work();
    enqueue(&t, &SendReminders { due: t.app.clock.now() }).await;
    let mails = sink.wait_for(|mails| mails.len() == 2, Duration::from_secs(40)).await.unwrap();
    crate::support::assert_nobody_got_a_mail_twice(&mails);
    let mail = mails.iter().find(|mail| mail.to[0] == "c1@example.com").unwrap();
    assert_eq!(mail.header("List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    let link = mail.header("List-Unsubscribe").unwrap();
    let link = link.trim_start_matches('<').trim_end_matches('>');
    assert!(mail.text().unwrap().contains(link), "{link}");
    let html = mail.html().unwrap().replace("&amp;", "&").replace("&#x2f;", "/");
    assert!(html.contains(link), "{link} in {html}");
    let path = link.strip_prefix("http://127.0.0.1:5000/api").unwrap();
    t.send(t.request(reqwest::Method::POST, path, None).body("List-Unsubscribe=One-Click")).await.expect(200);
    let off = "SELECT COUNT(*) AS n FROM users WHERE reminders_off AND email = 'c1@example.com'";
    assert_eq!(number(&t, off).await, 1);
    worker.stop().await;
}
