//! Reminders: who gets them, how often, their contents, and the summary for administrators.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use devstack::{Behaviour, MailSink};
use sea_orm::{FromQueryResult, JsonValue};
use serde_json::json;
use shared::{
    base::clock::Clock,
    jobs::Job,
    parking::notifications::{Mailing, SendReminder, SendReminders, Subscription, Summarise},
    platform::db::sql,
};
use testkit::TestApp;

use crate::support::{
    Booked, book, context, enqueue, execute, insert_drivers, number, people, reaches, send_to, within,
};

/// 18:00 on 24 November in Kolkata.
fn evening() -> DateTime<Utc> {
    "2026-11-24T12:30:00Z".parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The same application at that time.
async fn in_the_evening(t: &TestApp) -> TestApp {
    t.at(Clock::fixed(evening())).await
}

/// The ids of users for whom a reminder was enqueued.
async fn reminded_users(t: &TestApp) -> Vec<i64> {
    let db = t.app.db.read();
    let text = "SELECT owner_id, payload FROM jobs WHERE kind = 'send-reminder' ORDER BY owner_id";
    let rows = JsonValue::find_by_statement(sql(db, text, [])).all(db).await.unwrap();
    rows.iter().map(|row| row["owner_id"].as_i64().unwrap()).collect()
}

async fn remind(t: &TestApp) -> i64 {
    let due = t.app.clock.now();
    SendReminders { due }.run(&context(t)).await.unwrap().result["asked"].as_i64().unwrap()
}

/// A user who registered, last logged in and last booked that long ago.
async fn insert_user(
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
async fn reminder_threshold_is_exact_to_the_microsecond(t: TestApp) {
    let t = in_the_evening(&t).await;
    t.lot(20).await;
    let (days, moment) = (TimeDelta::days, TimeDelta::microseconds(1));
    let (old, recent, lately) = (days(300), Some(days(1)), Some((days(1), "completed")));
    let mut away = Vec::new();
    for (reminded, came, login, booked) in [
        // No login within seven days.
        (true, old, Some(days(7)), lately),
        (false, old, Some(days(7) - moment), lately),
        (true, days(7), None, lately),
        (false, days(7) - moment, None, lately),
        // No booking within fourteen days.
        (true, old, recent, Some((days(14), "completed"))),
        (false, old, recent, Some((days(14) - moment, "completed"))),
        (true, days(14), recent, None),
        (false, days(14) - moment, recent, None),
        // A booking counts in any state.
        (false, old, recent, Some((days(2), "cancelled"))),
        (false, old, recent, Some((days(2), "expired"))),
        // A running or upcoming reservation.
        (false, old, Some(days(30)), Some((days(20), "active"))),
        (false, old, Some(days(30)), Some((TimeDelta::hours(-5), "reserved"))),
    ] {
        let id = insert_user(&t, came, login, booked).await;
        if reminded {
            away.push(id);
        }
    }
    for change in ["role = 'admin'", "reminders_off = TRUE", "deleted_at = created_at"] {
        let id = insert_user(&t, old, Some(days(30)), None).await;
        execute(&t, &format!("UPDATE users SET {change} WHERE id = $1"), [id.into()]).await;
    }
    assert_eq!(remind(&t).await, i64::try_from(away.len()).unwrap());
    assert_eq!(reminded_users(&t).await, away);
    assert_eq!(remind(&t).await, 4, "the same four while their reminders are queued");
    execute(&t, "UPDATE jobs SET state = 'succeeded', finished_at = created_at", []).await;
    assert_eq!(remind(&t).await, 4, "and after their reminders have been sent");
    assert_eq!(reminded_users(&t).await, away);
}

#[testkit::both_databases]
async fn reminder_days_are_configurable(t: TestApp) {
    let changed = [("REMINDER_LOGIN_DAYS", "3"), ("REMINDER_BOOKING_DAYS", "5")];
    let mut t = t.second_process(&changed).await;
    t.app = t.app.with_clock(Clock::fixed(evening()));
    t.lot(2).await;
    let days = TimeDelta::days;
    let away = insert_user(&t, days(9), Some(days(3)), Some((days(1), "completed"))).await;
    let idle = insert_user(&t, days(9), Some(days(1)), Some((days(5), "completed"))).await;
    insert_user(&t, days(9), Some(days(2)), Some((days(4), "completed"))).await;
    remind(&t).await;
    assert_eq!(reminded_users(&t).await, [away, idle]);
}

#[testkit::both_databases]
async fn outdated_reminder_is_not_sent(t: TestApp) {
    let t = in_the_evening(&t).await;
    let lot = t.lot(5).await;
    let now = t.app.clock.now();
    let old = TimeDelta::days(30);
    let mut results = Vec::new();
    for change in ["", "reminders_off = TRUE", "deleted_at = created_at", "last_login_at = $2"] {
        let user_id = insert_user(&t, old, Some(old), Some((TimeDelta::days(1), "completed"))).await;
        let set = format!("UPDATE users SET {change} WHERE id = $1");
        match change {
            "" => 0,
            "last_login_at = $2" => execute(&t, &set, [user_id.into(), shared::platform::db::at(now)]).await,
            _ => execute(&t, &set, [user_id.into()]).await,
        };
        let done = SendReminder { user_id, day: day("2026-11-24") }.run(&context(&t)).await.unwrap();
        results.push(done.result);
    }
    let parked = insert_user(&t, old, Some(old), None).await;
    book(&t, Booked { user: parked, lot, state: "active", began: now, ended: None, cost: 0 }).await;
    results.push(
        SendReminder { user_id: parked, day: day("2026-11-24") }.run(&context(&t)).await.unwrap().result,
    );
    let skipped = json!({ "skipped": "the user came back, unsubscribed or was deleted" });
    assert_eq!(results[0], json!({ "state": "sent" }));
    assert!(results[1..].iter().all(|result| *result == skipped), "{results:?}");
    assert_eq!(t.mails().len(), 1);
}

#[testkit::both_databases]
async fn one_reminder_per_user_and_local_day(t: TestApp) {
    let clock = Clock::fixed("2026-11-24T18:29:59Z".parse().unwrap());
    let t = t.at(clock.clone()).await;
    let user_id = insert_user(&t, TimeDelta::days(30), None, None).await;
    let send =
        async |on: &str| SendReminder { user_id, day: day(on) }.run(&context(&t)).await.unwrap().result;
    assert_eq!(send("2026-11-24").await["state"], "sent");
    assert_eq!(send("2026-11-24").await["state"], "sent");
    assert_eq!(t.mails().len(), 1);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(send("2026-11-24").await["skipped"], "the day of the reminder is over");
    assert_eq!(send("2026-11-25").await["state"], "sent");
    assert_eq!(send("2026-11-25").await["state"], "sent");
    assert_eq!(t.mails().len(), 2);
    let keys = number(&t, &format!("SELECT COUNT(*) AS n FROM email_deliveries WHERE key IN ('reminder:{user_id}:2026-11-24', 'reminder:{user_id}:2026-11-25')")).await;
    assert_eq!(keys, 2);
}

#[testkit::both_databases]
async fn reminder_names_most_used_then_emptiest_lots(t: TestApp) {
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
    let user = insert_user(&t, TimeDelta::days(300), Some(TimeDelta::days(20)), None).await;
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
    // Ten stays: nine of an hour, and one of an hour and a half.
    for part in [
        "for 20 days",
        "Bookings      10\n",
        "Hours parked  10.5\n",
        "Spent         ₹255.00\n",
        "4 free, ₹25.50 an hour",
        "9 free",
    ] {
        assert!(mail.text.contains(part), "{part} in {}", mail.text);
    }
    assert_eq!(mail.subject, "A spot is waiting for you at Often");
}

#[testkit::both_databases]
async fn killed_reminder_run_resumes(t: TestApp) {
    const COUNT: i64 = 3_000;
    let t = in_the_evening(&t).await;
    insert_drivers(&t, COUNT, evening() - TimeDelta::days(30)).await;
    let killed = context(&t);
    let running =
        tokio::spawn(async move { SendReminders { due: evening() }.run(&killed).await.map(|_| ()) });
    let jobs = async || number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-reminder'").await;
    within(Duration::from_secs(20), "the first page is enqueued", || async { jobs().await > 0 }).await;
    running.abort();
    let _ = running.await;
    let before = jobs().await;
    assert!(before < COUNT && before % 500 == 0, "killed between pages: {before}");
    let again = context(&t);
    let began = std::time::Instant::now();
    let done = SendReminders { due: evening() }.run(&again).await.unwrap();
    eprintln!("{:?}: enqueued {} mails in {:?}", t.engine, COUNT - before, began.elapsed());
    assert_eq!(done.result["asked"], COUNT);
    assert_eq!(jobs().await, COUNT);
    let users: BTreeSet<_> = reminded_users(&t).await.into_iter().collect();
    assert_eq!(users.len(), usize::try_from(COUNT).unwrap());
    let (current, total) = again.progress.get();
    assert!(current == total && total >= COUNT);
}

#[testkit::both_databases]
async fn summary_timeout_reports_what_is_pending(t: TestApp) {
    let clock = Clock::fixed(evening());
    let t = t.at(clock.clone()).await;
    t.admin().await;
    insert_drivers(&t, 3, evening() - TimeDelta::days(30)).await;
    remind(&t).await;
    let mailing = Mailing { what: Subscription::Reminders, about: day("2026-11-24"), due: evening() };
    let summary = Summarise { mailing, asked_at: evening(), polls: 3 };
    clock.advance(TimeDelta::hours(6) - TimeDelta::microseconds(1));
    let early = summary.run(&context(&t)).await.unwrap();
    assert_eq!((early.result, early.then.len()), (json!({ "waiting": 3 }), 1));
    clock.advance(TimeDelta::microseconds(1));
    let done = summary.run(&context(&t)).await.unwrap();
    assert_eq!(done.result[0], json!(["Recipients", "3"]));
    assert_eq!(done.result[4], json!(["Still waiting", "3"]));
    assert_eq!(done.then.len(), 1, "one summary, as there is one administrator");
}

#[testkit::both_databases]
async fn reminder_summary_accounts_for_every_mail(mut t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    send_to(&mut t, &sink);
    let (admin, lot) = (t.admin().await, t.lot(5).await);
    insert_drivers(&t, 7, t.app.clock.now() - TimeDelta::days(30)).await;
    execute(&t, "DELETE FROM jobs", []).await;
    let pause = "INSERT INTO paused_queues (queue, paused_at) VALUES ('mail', $1)";
    execute(&t, pause, [shared::platform::db::at(t.app.clock.now())]).await;
    let workers = [t.work(), t.work()];
    let due = t.app.clock.now();
    let id = enqueue(&t, &SendReminders { due }).await;
    assert_eq!(reaches(&t, id, "succeeded").await.result.unwrap(), "{\"asked\":7}");
    // A second run while all reminders are still queued.
    let again = enqueue(&t, &SendReminders { due: due + TimeDelta::seconds(1) }).await;
    reaches(&t, again, "succeeded").await;
    let users = reminded_users(&t).await;
    assert_eq!(users.len(), 7);
    book(&t, Booked { user: users[0], lot, state: "active", began: due, ended: None, cost: 0 }).await;
    execute(&t, "UPDATE users SET reminders_off = TRUE WHERE id = $1", [users[1].into()]).await;
    execute(&t, "UPDATE users SET deleted_at = created_at WHERE id = $1", [users[2].into()]).await;
    sink.script(vec![Behaviour::Permanent]);
    execute(&t, "DELETE FROM paused_queues", []).await;
    // Three reminders, and a summary per run.
    let mails = sink.wait_for(|mails| mails.len() == 5, Duration::from_secs(40)).await.unwrap();
    let (summaries, reminders): (Vec<_>, Vec<_>) =
        mails.iter().partition(|mail| mail.header("Subject").unwrap().starts_with("Reminders for "));
    let recipients: BTreeSet<_> = reminders.iter().map(|mail| mail.to[0].clone()).collect();
    assert_eq!((summaries.len(), recipients.len()), (2, 3));
    for summary in summaries {
        assert_eq!(summary.to, std::slice::from_ref(&admin.email));
        let text = summary.text().unwrap().replace("\r\n", "\n");
        let facts = "  Recipients: 7\n  Sent: 3\n  Skipped: 3\n  Failed: 1\n  Logins that day: 1\n  Bookings that day: 0\n";
        assert!(text.contains(facts), "{text}");
    }
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM user_activity WHERE subject = 'reminder'").await, 3);
}

#[testkit::both_databases]
async fn reminder_link_unsubscribes(mut t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    send_to(&mut t, &sink);
    t.lot(3).await;
    insert_drivers(&t, 2, t.app.clock.now() - TimeDelta::days(30)).await;
    let worker = t.work();
    enqueue(&t, &SendReminders { due: t.app.clock.now() }).await;
    let mails = sink.wait_for(|mails| mails.len() == 2, Duration::from_secs(40)).await.unwrap();
    crate::support::assert_no_duplicate_mails(&mails);
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
