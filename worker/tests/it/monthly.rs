//! Monthly reports: figures compared with ones computed by hand, contents of the mail, and delivery exactly once.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use devstack::MailSink;
use shared::{
    jobs::Job,
    parking::{
        notifications::{SendMonthlyReport, SendMonthlyReports},
        reports::{
            monthly::{self, Totals},
            user::LotUse,
        },
    },
};
use testkit::{Engine, TestApp};

use crate::support::{
    Booked, book, context, enqueue, execute, insert_drivers, number, people, reaches, send_to,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn october() -> NaiveDate {
    "2026-10-01".parse().unwrap()
}

/// October 2026 in Berlin: from 30 September 22:00 UTC to 31 October 23:00 UTC, with an extra hour on the 25th.
async fn berlin(engine: Engine) -> TestApp {
    TestApp::start_with(engine, &[("APP_TIMEZONE", "Europe/Berlin")]).await
}

async fn lot(t: &TestApp, name: &str) -> i64 {
    let id = t.lot(4).await;
    execute(t, "UPDATE lots SET location_name = $2 WHERE id = $1", [id.into(), name.into()]).await;
    id
}

/// Inserts stays in two lots, around both ends of October.
async fn history(t: &TestApp) -> i64 {
    let (user, other) = (people(t, 1).await[0], people(t, 1).await[0]);
    let (park, quay) = (lot(t, "Park").await, lot(t, "Quay").await);
    for (who, lot, state, began, ended, cost) in [
        // One year earlier, and the previous month.
        (user, quay, "completed", "2025-11-15T10:00:00Z", "2025-11-15T11:00:00Z", 900),
        (user, quay, "completed", "2025-10-31T10:00:00Z", "2025-10-31T11:00:00Z", 77),
        (user, quay, "completed", "2026-09-10T10:00:00Z", "2026-09-10T13:00:00Z", 300),
        (user, park, "completed", "2026-09-30T21:59:59.999999Z", "2026-09-30T21:59:59.999999Z", 50),
        // Began in September, paid in October: 2 hours.
        (user, quay, "completed", "2026-09-30T21:00:00Z", "2026-09-30T23:00:00Z", 400),
        // The first and the last moment of the month: an hour, and nothing.
        (user, park, "completed", "2026-09-30T22:00:00Z", "2026-09-30T23:00:00Z", 100),
        (user, park, "completed", "2026-10-31T22:59:59.999999Z", "2026-10-31T22:59:59.999999Z", 70),
        // The whole day of 25 hours.
        (user, park, "completed", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 2_500),
        // Began in October, paid in November.
        (user, park, "completed", "2026-10-31T22:00:00Z", "2026-10-31T23:00:00Z", 999),
        // Cancelled and running stays, which do not count.
        (user, quay, "cancelled", "2026-10-10T10:00:00Z", "2026-10-10T11:00:00Z", 0),
        (user, quay, "expired", "2026-10-11T10:00:00Z", "2026-10-11T11:00:00Z", 0),
        (user, quay, "active", "2026-10-12T10:00:00Z", "2027-01-01T00:00:00Z", 0),
        // Another user, and a stay after the month.
        (other, park, "completed", "2026-10-12T10:00:00Z", "2026-10-12T11:00:00Z", 10_000),
        (user, park, "completed", "2026-10-31T23:00:00Z", "2026-11-01T01:00:00Z", 5_000),
    ] {
        let booked = Booked { user: who, lot, state, began: at(began), ended: Some(at(ended)), cost };
        book(t, booked).await;
    }
    user
}

#[tokio::test(flavor = "multi_thread")]
async fn monthly_figures_match_a_naive_count() {
    testkit::together(async |engine| {
        let t = berlin(engine).await;
        let user = history(&t).await;
        let report = monthly::report(&t.app, user, october()).await.unwrap();
        let hours = |hours: i64| hours * 3_600_000_000;
        let minor = shared::base::money::Money::from_minor;
        let this =
            Totals { bookings: 5, stays: 4, micros: hours(28), billed: minor(3_070), spent: minor(3_070) };
        assert_eq!(report.this, this);
        assert_eq!((this.cost_per_stay(), this.micros_per_stay()), (minor(768), hours(7)));
        let before =
            Totals { bookings: 3, stays: 2, micros: hours(3), billed: minor(350), spent: minor(350) };
        assert_eq!(report.before, before);
        let lots: Vec<_> = (report.lots.iter())
            .map(|LotUse { name, bookings, stays, micros, spent, .. }| {
                (name.as_str(), *bookings, *stays, *micros, *spent)
            })
            .collect();
        assert_eq!(lots, [("Park", 4, 3, hours(26), 2_670), ("Quay", 1, 1, hours(2), 400)]);
        let days: Vec<_> = (report.days.iter().zip(1..))
            .filter(|(day, _)| day.bookings > 0 || day.spent.minor() > 0)
            .map(|(day, number)| (number, day.bookings, day.spent.minor()))
            .collect();
        // On the 1st, two were paid and one began. Leaving at midnight counts for the day that begins.
        assert_eq!(days, [(1, 1, 500), (12, 1, 0), (25, 1, 0), (26, 0, 2_500), (31, 2, 70)]);
        assert_eq!(report.days.len(), 31);
        let months: Vec<_> = report
            .months
            .iter()
            .map(|month| (month.month.short_month(), month.bookings, month.spent.minor()))
            .collect();
        assert_eq!((months.len(), &months[0]), (12, &("Nov".to_owned(), 1, 900)));
        assert!(months[1..10].iter().all(|(_, bookings, spent)| *bookings == 0 && *spent == 0), "{months:?}");
        assert_eq!(months[10..], [("Sep".to_owned(), 3, 350), ("Oct".to_owned(), 5, 3_070)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monthly_report_has_charts_and_a_printable_page() {
    testkit::together(async |engine| {
        let mut t = berlin(engine).await;
        let sink = MailSink::start().await.unwrap();
        send_to(&mut t, &sink);
        let user = history(&t).await;
        let worker = t.work();
        let id = enqueue(&t, &SendMonthlyReport { user_id: user, month: october() }).await;
        reaches(&t, id, "succeeded").await;
        let mail = sink.messages().pop().unwrap();
        assert_eq!(mail.header("Subject").as_deref(), Some("Your parking in October 2026: 5 bookings, ₹30.70"));
        let (text, html) = (mail.text().unwrap().replace("\r\n", "\n"), mail.html().unwrap());
        for part in [
            "Bookings        5 (September 2026: 3)\n", "Hours parked    28.0 (September 2026: 3.0)\n", "Hours per stay  7.0 (September 2026: 1.5)\n",
            "Spent           ₹30.70 (September 2026: ₹3.50)\n", "Spent per stay  ₹7.68 (September 2026: ₹1.75)\n", "Park: 4 bookings, 26.0 hours, ₹26.70\n",
            "Quay: 1 booking, 2.0 hours, ₹4.00\n", "Spent by day, October 2026: most on 26 October, ₹25.00.\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(html.contains("₹27.20 more than in September 2026"), "{html}");
        assert!(mail.header("List-Unsubscribe").unwrap().contains("mails=reports"));

        // Both bodies, the images next to the HTML, and the file attached.
        let raw = &mail.raw;
        let places = ["multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png", "parking-report-2026-10.html"]
            .map(|kind| raw.find(kind).unwrap_or_else(|| panic!("{kind}")));
        assert!(places.is_sorted(), "{places:?}");
        let attachments = mail.attachments();
        let kinds: Vec<_> = attachments.iter().map(|one| (one.content_type.as_str(), one.name.as_deref())).collect();
        assert_eq!(kinds, [("image/png", None), ("image/png", None), ("text/html", Some("parking-report-2026-10.html"))]);
        for (name, alt) in [("days", "most on 26 October, ₹25.00"), ("months", "Sep ₹3.50, Oct ₹30.70")] {
            assert!(raw.contains(&format!("Content-ID: <{name}@parkade>")), "{raw}");
            assert!(html.contains(&format!("src=\"cid:{name}@parkade\"")) && html.contains(alt), "{html}");
        }
        assert!(attachments[..2].iter().all(|picture| picture.bytes.starts_with(b"\x89PNG\r\n\x1a\n") && picture.bytes.len() > 1_000));
        let page = String::from_utf8(attachments[2].bytes.clone()).unwrap();
        assert!(page.contains("26.70") && page.contains("data:image/png;base64,iVBOR") && page.contains("@page"), "{page}");
        assert!(!page.contains("://") && !page.contains("cid:"), "the page loads no external resources");
        worker.stop().await;
    })
    .await;
}

#[testkit::both_databases]
async fn month_without_parking_is_a_short_mail(t: TestApp) {
    let user_id = people(&t, 1).await[0];
    SendMonthlyReport { user_id, month: october() }.run(&context(&t)).await.unwrap();
    let mail = t.mails().pop().unwrap();
    assert_eq!(mail.subject, "Your parking in October 2026");
    assert!(mail.text.contains("you did not park with us in October 2026"), "{}", mail.text);
    assert!(mail.inline.is_empty() && mail.attachment.is_none() && !mail.html.contains("<img"));
}

#[testkit::both_databases]
async fn one_report_per_driver_and_month(mut t: TestApp) {
    let sink = MailSink::start().await.unwrap();
    send_to(&mut t, &sink);
    let admin = t.admin().await;
    insert_drivers(&t, 6, t.app.clock.now()).await;
    execute(&t, "UPDATE users SET reports_off = TRUE WHERE email = 'c1@example.com'", []).await;
    execute(&t, "UPDATE users SET deleted_at = created_at WHERE email = 'c2@example.com'", []).await;
    execute(&t, "UPDATE users SET reminders_off = TRUE WHERE email = 'c3@example.com'", []).await;
    let workers = [t.work(), t.work()];
    // Two concurrent runs for one month, on 1 and 20 November in Kolkata.
    let runs = [at("2026-11-01T03:30:00Z"), at("2026-11-20T03:30:00Z")];
    let ids = [
        enqueue(&t, &SendMonthlyReports { due: runs[0] }).await,
        enqueue(&t, &SendMonthlyReports { due: runs[1] }).await,
    ];
    for id in ids {
        reaches(&t, id, "succeeded").await;
    }
    let mails = sink.wait_for(|mails| mails.len() == 6, Duration::from_secs(40)).await.unwrap();
    let (summaries, reports): (Vec<_>, Vec<_>) =
        mails.iter().partition(|mail| mail.header("Subject").unwrap() == "Monthly reports for October 2026");
    let recipients: BTreeSet<_> = reports.iter().map(|mail| mail.to[0].as_str()).collect();
    assert_eq!(recipients, ["c3@example.com", "c4@example.com", "c5@example.com", "c6@example.com"].into());
    assert_eq!(reports.len(), 4);
    assert_eq!(summaries.len(), 2, "one per run");
    for summary in summaries {
        let text = summary.text().unwrap();
        assert_eq!(summary.to, std::slice::from_ref(&admin.email));
        assert!(
            text.contains("Sent: 4") && text.contains("Failed: 0") && !text.contains("waiting"),
            "{text}"
        );
    }
    // The following month gets a separate report.
    let id = enqueue(&t, &SendMonthlyReports { due: at("2026-12-01T03:30:00Z") }).await;
    reaches(&t, id, "succeeded").await;
    sink.wait_for(|mails| mails.len() == 11, Duration::from_secs(40)).await.unwrap();
    let keys = "SELECT COUNT(*) AS n FROM email_deliveries WHERE key LIKE 'monthly-report:%:2026-1_' AND state = 'sent'";
    assert_eq!(number(&t, keys).await, 8);
    for worker in workers {
        worker.stop().await;
    }
}

#[testkit::both_databases]
async fn late_unsubscribe_stops_the_report(t: TestApp) {
    let user_id = people(&t, 1).await[0];
    execute(&t, "UPDATE users SET reports_off = TRUE", []).await;
    let done = SendMonthlyReport { user_id, month: october() }.run(&context(&t)).await.unwrap();
    assert_eq!(done.result["skipped"], "the user unsubscribed or was deleted");
    assert!(t.mails().is_empty());
}

#[testkit::both_databases]
async fn report_on_a_thousand_bookings_is_fast(t: TestApp) {
    const REPORTS: u32 = 10;
    let user_id = crate::support::driver_with(&t, 1_000).await.id;
    // The stays of the driver begin one minute apart, on 14 and 15 November 2023.
    let month = "2023-11-01".parse().unwrap();
    let began = std::time::Instant::now();
    for _ in 0..REPORTS {
        execute(&t, "DELETE FROM email_deliveries", []).await;
        SendMonthlyReport { user_id, month }.run(&context(&t)).await.unwrap();
    }
    let each = began.elapsed() / REPORTS;
    eprintln!("{:?}: {each:?} per report on 1,000 bookings, debug build", t.engine);
    assert!(each < Duration::from_secs(5), "{each:?}");
    let mail = t.mails().pop().unwrap();
    assert!(mail.subject.contains("1000 bookings"), "{}", mail.subject);
}
