//! Realistic mails of every kind: the templates are tested with them, and `cargo xtask mails` shows them.

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use minijinja::context;

use crate::{
    base::money::Money,
    parking::{
        lots::Lot,
        notifications::{
            delivery::{Letter, compose},
            monthly_reports,
            reminders::{self, Figures},
            subscription::Subscription,
        },
        reports::{
            calendar::{self, Period},
            monthly::{Report, Totals},
            user::{LotUse, MonthFigures},
        },
    },
    platform::{
        config::{self, Config, Sources},
        keys::Keys,
        mailer::{Attachment, Mail, Mailer},
        templates::{self, Rendered, Templates, one_line},
    },
};

const HOUR: i64 = 3_600_000_000;

fn config() -> Config {
    let settings = [
        ("APP_SECRET", "a secret that is long enough: 32 bytes"),
        ("PUBLIC_URL", "https://park.example"),
        ("MAIL_DEFAULT_SENDER", "Parkade <no-reply@park.example>"),
    ];
    Config::load(Sources::of(settings)).unwrap()
}

/// A letter of each kind, and some variants, by name. `text` transforms everything that people wrote.
fn letters(text: &dyn Fn(&str) -> String) -> Vec<(&'static str, Letter)> {
    let letter = |kind, values| Letter { kind, user_id: 17, values, ..Letter::default() };
    let lot = context! { lot => text("Church Street Parking"), address => text("12 Church Street, 560001"), spot => 12 };
    let booking = context! {
        start => "20 Nov 2026, 18:37 IST", rate => "₹40.00", tariff => (), reservation_id => 4711, vehicle => text("MH 12 AB 1234"),
        ..lot.clone()
    };
    let walk_in = context! { end => (), given_up => (), quote => (), ..booking.clone() };
    let window = context! {
        end => "20 Nov 2026, 21:37 IST", given_up => "20 Nov 2026, 19:07 IST", quote => "₹120.00", ..booking
    };
    let receipt = context! {
        arrived => "20 Nov 2026, 18:37 IST", left => "20 Nov 2026, 20:52 IST", hours => 3,
        charged => [["Charged", "3 hours at ₹40.00 an hour"]], total => "₹120.00", payment_method => text("UPI"), transaction_id => text("TXN-20261120-88"),
        reservation_id => 4711, vehicle => text("MH 12 AB 1234"), is_unpaid => false, is_waived => false, is_refunded => false, ..lot
    };
    let bill = context! { is_unpaid => true, payment_method => (), transaction_id => (), ..receipt.clone() };
    let refund = context! { is_refunded => true, ..receipt.clone() };
    let export = context! {
        file_name => text("reservations-asha.csv"), rows => 128, expires => "21 Nov 2026, 18:37 IST", attached => true,
        id => "0193a0a0-0000-7000-8000-000000000000",
    };
    let csv = Attachment {
        file_name: text("reservations-asha.csv"),
        content_type: "text/csv; charset=utf-8",
        bytes: b"reservation_id,lot\n4711,Church Street Parking\n".to_vec(),
    };
    let facts = [("Asked for", "1204"), ("Sent", "1198"), ("Skipped", "5"), ("Failed", "1")]
        .map(|(label, value)| (text(label), text(value)));
    let url =
        |what: &str| format!("https://park.example/api/auth/{what}?token={}", "3b1f0d9c5a7e2846".repeat(4));
    let reset = context! {
        url => url("reset-password"), expires => "20 Nov 2026, 19:07 IST",
    };
    let changed = context! { changed => "20 Nov 2026, 18:37 IST", url => url("undo-email-change") };
    let notice = context! { title => text("Reminders of 24 November 2026"), facts };
    let reminder = |figures: &Figures| Letter {
        unsubscribe: Some(Subscription::Reminders),
        ..letter("reminder", reminders::values(figures, &config()))
    };
    let templates = Templates::new().unwrap();
    let monthly =
        |report: &Report| monthly_reports::write(&templates, 17, &text("Asha Rao"), report).unwrap();
    vec![
        ("welcome", letter("welcome", context! { verify_url => url("verify-email") })),
        ("welcome-verified", letter("welcome", context! { verify_url => () })),
        ("verify_email", letter("verify_email", context! { url => url("verify-email") })),
        ("password_reset", letter("password_reset", reset)),
        ("password_changed", letter("password_changed", context! { changed => "20 Nov 2026, 18:37 IST" })),
        ("address_changed", letter("address_changed", changed)),
        ("guessing", letter("guessing", context! { noticed => "20 Nov 2026, 18:37 IST" })),
        ("confirmation", letter("confirmation", walk_in)),
        ("confirmation-window", letter("confirmation", window.clone())),
        ("spot_changed", letter("spot_changed", window)),
        ("receipt", letter("receipt", receipt)),
        ("receipt-unpaid", letter("receipt", bill)),
        ("receipt-refunded", letter("receipt", refund)),
        ("export_ready", Letter { attachment: Some(csv), ..letter("export_ready", export) }),
        ("reminder", reminder(&figures(text))),
        ("reminder-newcomer", reminder(&Figures { bookings: 0, away: TimeDelta::days(1), ..figures(text) })),
        ("reminder-without-lots", reminder(&Figures { lots: Vec::new(), ..figures(text) })),
        ("monthly_report", monthly(&report(text))),
        ("monthly_report-quiet", monthly(&Report { lots: Vec::new(), ..report(text) })),
        ("notice", letter("notice", notice)),
    ]
}

fn figures(text: &dyn Fn(&str) -> String) -> Figures {
    let lot = |id, name, address, price, free| Lot {
        id,
        location_name: text(name),
        price: Money::from_minor(price),
        address: text(address),
        pincode: "560001".into(),
        number_of_slots: 120,
        available_slots: free,
        version: 1,
        tariff_version_id: None,
        terms: None,
    };
    Figures {
        away: TimeDelta::days(9),
        idle: TimeDelta::days(16),
        bookings: 42,
        micros: 97 * HOUR + HOUR / 2,
        spent: Money::from_minor(412_000),
        lots: vec![
            lot(1, "Church Street Parking", "12 Church Street", 4_000, 14),
            lot(2, "MG Road Metro", "1 Mahatma Gandhi Road", 5_500, 3),
            lot(3, "Lalbagh West Gate", "Lalbagh Fort Road", 2_000, 97),
        ],
    }
}

fn report(text: &dyn Fn(&str) -> String) -> Report {
    let noon: DateTime<Utc> = "2026-10-31T06:30:00Z".parse().unwrap();
    let zone = chrono_tz::Asia::Kolkata;
    let figures = |month: &Period, minor: i64| MonthFigures {
        month: *month,
        bookings: i64::from(minor > 0),
        spent: Money::from_minor(minor),
    };
    let spent = [
        0, 8_000, 0, 0, 12_000, 4_000, 0, 16_000, 0, 0, 0, 24_000, 4_000, 0, 0, 8_000, 8_000, 0, 12_000, 0,
        0, 40_000, 4_000, 0, 0, 12_000, 0, 8_000, 0, 16_000, 0,
    ];
    let by_month =
        [98_000, 121_000, 64_000, 0, 88_000, 142_000, 130_500, 99_000, 151_000, 120_000, 136_000, 176_000];
    let days = calendar::days(noon, zone, 31);
    let months = calendar::months(noon, zone, 12);
    let lot = |lot_id, name, bookings, hours: i64, spent| LotUse {
        lot_id,
        name: text(name),
        bookings,
        stays: bookings,
        micros: hours * HOUR / 10,
        billed: spent,
        spent,
    };
    let totals = |stays, hours: i64, minor| {
        let billed = Money::from_minor(minor);
        Totals { bookings: stays, stays, micros: hours * HOUR, billed, spent: billed }
    };
    Report {
        month: months[11],
        this: totals(14, 38, 176_000),
        before: totals(11, 31, 136_000),
        lots: vec![
            lot(1, "Church Street Parking", 8, 215, 88_000),
            lot(2, "MG Road Metro", 4, 120, 72_000),
            lot(3, "लालबाग पश्चिम द्वार", 2, 45, 16_000),
        ],
        days: days.iter().zip(spent).map(|(day, minor)| figures(day, minor)).collect(),
        months: months.iter().zip(by_month).map(|(month, minor)| figures(month, minor)).collect(),
    }
}

fn rendered(letter: &Letter, name: &str) -> Rendered {
    let config = config();
    compose(&Templates::new().unwrap(), &config, &Keys::new(&config).unwrap(), letter, name).unwrap().0
}

const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"O'Hara\" & Söhne",
    "Ann\r\nBcc: everyone@example.com",
    "line\u{2028}break\u{85}and\0nul",
    "非ラテン",
    "{{ 7191 * 7 }}",
];

#[test]
fn hostile_values_cannot_break_out_of_any_mail() {
    for hostile in HOSTILE {
        for (name, letter) in letters(&|_| hostile.to_owned()) {
            let mail = rendered(&letter, hostile);
            assert!(!mail.subject.is_empty() && !mail.subject.contains(char::is_control), "{name}: {mail:?}");
            assert!(
                mail.text.starts_with(&format!("Hello {},\n", one_line(hostile))),
                "{name}: {}",
                mail.text
            );
            assert!(!mail.text.contains("\nBcc") && !mail.text.contains('\0'), "{name}: {}", mail.text);
            let page = letter.attachment.filter(|file| file.content_type.starts_with("text/html"));
            let page = page.map(|file| String::from_utf8(file.bytes).unwrap());
            for html in [Some(mail.html), page].into_iter().flatten() {
                assert!(!html.contains("<script>") && !html.contains("50337"), "{name}: {html}");
                assert!(!html.contains("\"O'Hara\"") && !html.contains('\0'), "{name}: {html}");
                assert!(
                    html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"),
                    "{name}"
                );
            }
        }
    }
    let welcome = |name| rendered(&letters(&str::to_owned)[0].1, name).html;
    assert!(welcome("非ラテン").contains("Hello 非ラテン,") && welcome("<b>").contains("Hello &lt;b&gt;,"));
}

#[test]
fn every_mail_has_a_sample_with_the_expected_text() {
    let letters = letters(&str::to_owned);
    for name in templates::NAMES {
        assert!(letters.iter().any(|(_, letter)| letter.kind == *name), "{name}");
    }
    let of = |name: &str| {
        rendered(&letters.iter().find(|(sample, _)| *sample == name).expect("a sample").1, "Asha Rao")
    };
    let says = |name: &str, parts: &[&str]| {
        let Rendered { subject, text, html } = of(name);
        parts.iter().for_each(|part| assert!(text.contains(part), "{part} in {name}: {subject}\n{text}"));
        html
    };
    says("receipt", &["Charged      3 hours at ₹40.00 an hour\n  Total        ₹120.00\n  Paid by"]);
    let html = says(
        "receipt-unpaid",
        &[
            "This is your bill. It is not paid yet.",
            "Total        ₹120.00\n  Vehicle      MH 12 AB 1234\n  Booking",
        ],
    );
    assert!(html.contains("Your bill") && !html.contains("receipt"), "{html}");
    let html = says(
        "reminder",
        &[
            "for 9 days",
            "MG Road Metro\n    1 Mahatma Gandhi Road, 560001\n    3 free, ₹55.00 an hour",
            "Hours parked  97.5",
        ],
    );
    assert!(html.contains("mails=reminders") && html.contains("Unsubscribe") && html.contains("14 free"));
    assert!(
        !says("reminder-newcomer", &["You have not parked with us yet. Booking"]).contains("Hours parked")
    );
    let html = says(
        "monthly_report",
        &[
            "Bookings        14 (September 2026: 11)",
            "Spent per stay  ₹125.71 (September 2026: ₹123.64)",
            "Church Street Parking: 8 bookings, 21.5 hours, ₹880.00",
            "most on 22 October, ₹400.00",
        ],
    );
    assert!(html.contains("₹400.00 more than in September 2026") && html.contains("mails=reports"), "{html}");
    assert!(says("monthly_report-quiet", &["did not park with us in October 2026"]).find("<img").is_none());
    assert!(!of("welcome").html.contains("Unsubscribe"), "essential mails have no unsubscribe link");
}

/// The folder given by `cargo xtask mails`, or a temporary one.
fn folder() -> (PathBuf, Option<tempfile::TempDir>) {
    #[expect(clippy::disallowed_methods, reason = "set by the command; not a setting of the product")]
    let named = std::env::var("MAILS_FOLDER").ok();
    let vanishing = named.is_none().then(|| tempfile::tempdir().unwrap());
    (named.map_or_else(|| vanishing.as_ref().unwrap().path().to_owned(), Into::into), vanishing)
}

/// Writes every mail as it is sent, and its parts as files to view in a browser.
#[tokio::test]
async fn mails_are_written_to_files() {
    let (folder, _vanishing) = folder();
    let config = config();
    let mail = config::Mail { folder: folder.clone(), ..config.mail.clone() };
    let mailer = Mailer::from_config(&mail).unwrap();
    let mut rows = String::new();
    for (name, letter) in letters(&str::to_owned) {
        let (Rendered { subject, text, html }, unsubscribe) =
            compose(&Templates::new().unwrap(), &config, &Keys::new(&config).unwrap(), &letter, "Asha Rao")
                .unwrap();
        let pictures = html.matches("<img ").count();
        assert_eq!((pictures, html.matches(" alt=\"").count()), (letter.inline.len(), pictures), "{name}");
        let file = |extension: &str| folder.join(format!("{name}.{extension}"));
        let shown = letter.inline.iter().fold(html.clone(), |html, picture| {
            assert!(html.contains(&picture.url()), "{name} shows {}", picture.url());
            let data = format!("data:{};base64,{}", picture.content_type, STANDARD.encode(&picture.bytes));
            html.replace(&picture.url(), &data)
        });
        let mail = Mail {
            to_name: "Asha Rao".into(),
            to_address: "asha@example.com".into(),
            message_id: name.into(),
            date: "2026-11-20T13:07:00Z".parse().unwrap(),
            subject: subject.clone(),
            text: text.clone(),
            html,
            inline: letter.inline,
            unsubscribe,
            attachment: letter.attachment.clone(),
        };
        mailer.send(&mail).await.unwrap();
        let eml = fs::read_to_string(file("eml")).unwrap();
        assert_eq!(eml.contains("List-Unsubscribe-Post: "), letter.unsubscribe.is_some(), "{name}");
        fs::write(file("html"), shown).unwrap();
        fs::write(file("txt"), format!("{subject}\n\n{text}")).unwrap();
        rows.push_str(&format!("<tr><td>{name}<td>{subject}<td>"));
        rows.push_str(
            &["html", "txt", "eml"].map(|end| format!("<a href=\"{name}.{end}\">{end}</a> ")).concat(),
        );
        if let Some(file) = letter.attachment {
            fs::write(folder.join(&file.file_name), &file.bytes).unwrap();
            rows.push_str(&format!("<a href=\"{0}\">{0}</a>", file.file_name));
        }
    }
    let start = "<!doctype html><meta charset=\"utf-8\"><title>Mails</title><style>body{font:16px sans-serif;margin:24px}td{padding:6px 12px}</style>";
    fs::write(folder.join("index.html"), format!("{start}<h1>Mails</h1><table>{rows}</table>\n")).unwrap();
}

#[test]
fn report_page_is_printable_and_loads_nothing() {
    let letters = letters(&str::to_owned);
    let file =
        letters.iter().find(|(name, _)| *name == "monthly_report").unwrap().1.attachment.clone().unwrap();
    assert_eq!(file.file_name, "parking-report-2026-10.html");
    let page = String::from_utf8(file.bytes).unwrap();
    assert!(
        page.contains("@page { size: A4;") && page.contains("for Asha Rao") && page.contains("₹1,760.00")
    );
    assert_eq!(page.matches("<img src=\"data:image/png;base64,").count(), 2, "{page}");
    assert!(!page.contains("://") && !page.contains("cid:"), "{page}");
}

#[test]
fn mails_link_to_the_web_client() {
    let config = |settings: &[(&str, &str)]| {
        let secret = ("APP_SECRET", "a secret that is long enough: 32 bytes");
        let public = ("PUBLIC_URL", "https://api.park.example/");
        Config::load(Sources::of(settings.iter().copied().chain([secret, public]))).unwrap()
    };
    let templates = Templates::new().unwrap();
    for (web, link) in [
        ("https://park.example/app/", "at https://park.example/app\n"),
        ("", "at https://api.park.example\n"),
    ] {
        let letter = Letter { kind: "welcome", values: context! { verify_url => () }, ..Letter::default() };
        let config = config(&[("WEB_URL", web)]);
        let (mail, _) = compose(&templates, &config, &Keys::new(&config).unwrap(), &letter, "Ann").unwrap();
        assert!(mail.text.contains(link), "{}", mail.text);
        assert!(mail.text.contains("https://api.park.example/api/privacy"), "{}", mail.text);
    }
    assert!(Config::load(Sources::of([("WEB_URL", "park.example")])).is_err());
}
