//! Hostile strings in every field: they are stored unchanged and escaped on output.

use chrono::TimeDelta;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, TestApp};

use crate::{
    exports::{exported, records},
    support::{change, content, many_drivers, noon, number, pointers},
};

/// SQL, HTML, templates, formats, shells, paths, formulas, headers, text direction, unusual characters: at most
/// 20 characters each, without surrounding white space.
pub(crate) const HOSTILE: [&str; 48] = [
    "' OR '1'='1",
    "'; DROP TABLE users",
    "\" OR \"\"=\"",
    "x'); --",
    "/* x */",
    "$1",
    ":id",
    "?",
    "<script>alert(1)",
    "<img src=x onerror=1",
    "</td></tr>",
    "&lt;b&gt; &amp;",
    "\"onclick='x'",
    "%s%s%n%x",
    "100%_",
    "{0} {name} {}",
    "${7*7}",
    "${jndi:ldap://x}",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "#{7*7} <%= 1 %>",
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "%2e%2e%2f",
    "%",
    "_",
    "\\",
    "\\'",
    "\"quoted\"",
    "`id` $(id) |id",
    "a\r\nBcc: x@y.z",
    "a\tb\u{1b}[31m",
    "a\u{1}\u{7f}b",
    "=1+1",
    "@SUM(A1)",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "\u{202e}live\u{202c}",
    "\u{5e9}\u{5dc}\u{202e}abc",
    "\u{200b}\u{feff}x",
    "\u{1f697}\u{1f3fd}\u{200d}\u{1f468}",
    "e\u{301} \u{1e9e} \u{130}",
    "\u{4f60}\u{597d}",
    "\u{92e}\u{941}\u{916}\u{94d}\u{92f}",
    "\u{10ffff}\u{fffd}",
    "null",
    "undefined",
    "1e400",
];

#[test]
fn hostile_texts_fit_the_shortest_field() {
    let keys: std::collections::BTreeSet<_> = HOSTILE.iter().map(|text| text.to_lowercase()).collect();
    assert_eq!(keys.len(), HOSTILE.len());
    for text in HOSTILE {
        assert!((1..=20).contains(&text.chars().count()) && text.trim() == text, "{text}");
    }
}

/// The path with a query parameter, in the form that `TestApp::url` takes.
fn with_query(t: &TestApp, path: &str, name: &str, value: &str) -> String {
    let url = reqwest::Url::parse_with_params(&t.url(path), [(name, value)]).unwrap();
    format!("/{}?{}", url.path(), url.query().unwrap())
}

/// The text as CSV cells must contain it.
fn as_cell(text: &str) -> String {
    // Where the list separator is `;`, a cell begins after it.
    let text = &text.replace("; --", ";' --");
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// For each text, a driver and a lot with that name, and a paid stay with that text as transaction id. Users with such
/// names and plates are from before these were restricted.
pub(crate) async fn stays(t: &TestApp, clock: &Clock) -> Vec<Driver> {
    let admin = t.admin().await;
    let drivers = many_drivers(t, "driver", HOSTILE.len()).await;
    for (driver, text) in drivers.iter().zip(HOSTILE) {
        let texts = "UPDATE users SET username = $2, vehicle_number = $2, phone_number = $2 WHERE id = $1";
        change(t, texts, [driver.id.into(), text.into()]).await.unwrap();
        let lot = json!({ "location_name": text, "price": 10, "address": text, "pincode": "1", "number_of_slots": 1 });
        let lot =
            t.post("/parking-lots", Some(&admin), lot).await.expect(201).body["lot"]["id"].as_i64().unwrap();
        let reservation = t.book(driver, lot).await;
        clock.advance(TimeDelta::seconds(1));
        let payment =
            json!({ "reservation_id": reservation, "transaction_id": text, "payment_method": text });
        let released =
            t.post("/booking/release-spot", Some(driver), payment).await.expect(200).body["reservation"]
                .clone();
        assert_eq!((&released["transaction_id"], &released["payment_method"]), (&json!(text), &json!(text)));
    }
    drivers
}

/// Member `member` of each element of `list`, except for the administrator.
fn column(list: &Value, member: &str) -> Vec<String> {
    let texts =
        list.as_array().expect("a list").iter().map(|row| row[member].as_str().unwrap_or("none").to_owned());
    texts.filter(|text| text != "admin").collect()
}

#[testkit::both_databases]
async fn hostile_texts_round_trip_unchanged(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let drivers = stays(&t, &clock).await;
    let admin = t.admin().await;
    let get = async |path: &str, who: &Driver| t.get(path, Some(who)).await.expect(200).body;

    let users = get("/users", &admin).await["users"].clone();
    assert_eq!(column(&users, "username"), HOSTILE);
    assert_eq!(&column(&users, "vehicle_number")[1..], HOSTILE);
    let lots = get("/parking-lots", &admin).await["lots"].clone();
    assert_eq!(
        (column(&lots, "location_name"), column(&lots, "address")),
        (HOSTILE.map(Into::into).to_vec(), HOSTILE.map(Into::into).to_vec())
    );
    for (driver, text) in drivers.iter().zip(HOSTILE) {
        let user = get(&format!("/users/{}", driver.id), driver).await["user"].clone();
        assert_eq!(
            (&user["username"], &user["vehicle_number"], &user["phone_number"]),
            (&json!(text), &json!(text), &json!(text))
        );
        let body = get(&format!("/users/{}/reservations", driver.id), driver).await;
        let row = &body["reservations"][0];
        assert_eq!(body["user"], text);
        for member in ["lot_name", "lot_address", "transaction_id", "payment_method"] {
            assert_eq!(row[member], text, "{member}");
        }
        let history = get("/user-booking-history", driver).await.to_string();
        assert!(history.contains(&format!("\"vehicle_number\":{}", json!(text))), "{text}: {history}");
        let report = get("/user-reports", driver).await.to_string();
        assert!(report.contains(&json!(text).to_string()), "{text}: {report}");
    }
    let details = get("/export/parking-details", &admin).await["data"].clone();
    for member in ["user_name", "vehicle_number", "parking_lot", "transaction_id", "payment_method"] {
        let mut texts = column(&details, member);
        texts.sort_unstable();
        let mut expected = HOSTILE.map(ToOwned::to_owned);
        expected.sort_unstable();
        assert_eq!(texts, expected, "{member}");
    }
    let report = get("/reports", &admin).await.to_string();
    for text in HOSTILE {
        assert!(report.contains(&json!(text).to_string()), "{text}");
    }
}

/// Defect 38.
#[testkit::both_databases]
async fn hostile_texts_are_harmless_in_files(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    stays(&t, &clock).await;
    let _worker = t.work();
    let rows = records(&exported(&t, &t.admin().await, json!({ "scope": "all" })).await);
    assert_eq!(rows.len(), HOSTILE.len());
    for (row, text) in rows.iter().zip(HOSTILE) {
        for column in [1, 2, 10, 11, 12, 13] {
            assert_eq!(row[column], as_cell(text), "column {column}");
        }
    }
}

/// Defect 38.
#[testkit::both_databases]
async fn hostile_texts_are_harmless_in_mails(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    stays(&t, &clock).await;
    let _worker = t.work();
    t.eventually("every driver has a confirmation and a receipt", async || {
        t.mails().len() >= 2 * HOSTILE.len()
    })
    .await;
    for mail in t.mails() {
        assert!(!mail.subject.contains(['\r', '\n', '\u{1b}', '\u{1}']), "{:?}", mail.subject);
        for harm in ["<script", "<img src=x", "\"onclick=", ">49<", "&lt;b&gt; &amp; ", ">root:"] {
            assert!(!mail.html.contains(harm), "{harm}: {}", mail.html);
        }
    }
    let all: String = t.mails().iter().map(|mail| mail.html.clone()).collect();
    let ways = [
        "&lt;script&gt;alert(1)",
        "&lt;img src=x onerror=1",
        "&lt;&#x2f;td&gt;",
        "&amp;lt;b&amp;gt;",
        "&quot;onclick=",
    ];
    let unrun = ["{{ 7 * 7 }}", "{% raw %}", "${7*7}", "%s%s%n%x"];
    for shown in ways.iter().chain(&unrun) {
        assert!(all.contains(*shown), "{shown}");
    }
}

#[testkit::both_databases]
async fn too_long_texts_and_nul_are_rejected(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(1).await);
    let reservation = t.book(&asha, lot).await;
    let before = content(&t).await;
    let (me, lot) = (format!("/users/{}", asha.id), format!("/parking-lots/{lot}"));
    for (method, path, who, field, most) in [
        (Method::PUT, me.as_str(), &asha, "username", 80),
        (Method::PUT, &me, &asha, "vehicle_number", 20),
        (Method::PUT, &me, &asha, "phone_number", 20),
        (Method::PUT, &lot, &admin, "location_name", 100),
        (Method::PUT, &lot, &admin, "address", 200),
        (Method::PUT, &lot, &admin, "pincode", 10),
        (Method::POST, "/booking/release-spot", &asha, "transaction_id", 50),
        (Method::POST, "/booking/release-spot", &asha, "payment_method", 20),
    ] {
        for text in ["x".repeat(most + 1), "\u{1f697}".repeat(most + 1), "a\u{0}b".to_owned()] {
            let body = json!({ field: text, "reservation_id": reservation });
            let answer = t.send(t.request(method.clone(), path, Some(who)).json(&body)).await;
            assert_eq!(pointers(&answer), [format!("/{field}")], "{text}");
        }
    }
    assert_eq!(content(&t).await, before);
    let longest = json!({ "reservation_id": reservation, "transaction_id": "\u{1f697}".repeat(50), "payment_method": "\u{1f697}".repeat(20) });
    let released = t.post("/booking/release-spot", Some(&asha), longest).await.expect(200);
    assert_eq!(released.body["reservation"]["transaction_id"], "\u{1f697}".repeat(50));
}

#[testkit::both_databases]
async fn hostile_filters_are_rejected(t: TestApp) {
    let asha = t.driver("Asha").await;
    for (text, field) in
        HOSTILE.iter().flat_map(|text| ["from", "to", "scope", "lot_id"].map(|field| (text, field)))
    {
        for path in ["/export/csv/request", "/tasks/export-csv"] {
            let answer = t.post(path, Some(&asha), json!({ field: text })).await;
            assert_eq!(pointers(&answer), [format!("/{field}")], "{text}");
        }
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM exports").await, 0);
    for path in ["/user-booking-history", "/export/csv/history", "/user/activity", "/parking-lots"] {
        for (text, name) in HOSTILE.iter().flat_map(|text| ["limit", "cursor"].map(|name| (text, name))) {
            let answer = t.get(&with_query(&t, path, name, text), Some(&asha)).await;
            answer.problem(400, "invalid");
        }
    }
    for text in HOSTILE {
        let login = json!({ "email": text, "password": text });
        t.post("/auth/login", None, login).await.problem(401, "invalid_credentials");
        let form = json!({ "username": "Meera", "email": text, "password": "Correct-horse-1" });
        assert_eq!(pointers(&t.post("/auth/register", None, form).await), ["/email"], "{text}");
    }
}

#[testkit::both_databases]
async fn hostile_headers_are_kept_or_rejected(t: TestApp) {
    let lot = t.lot(i64::try_from(HOSTILE.len()).unwrap()).await;
    let drivers = many_drivers(&t, "driver", HOSTILE.len()).await;
    let asha = t.driver("Asha").await;
    for (driver, text) in drivers.iter().zip(HOSTILE) {
        // HTTP clients cannot send the other texts as header values.
        let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { continue };
        let is_ascii = value.to_str().is_ok();
        let book = async || {
            let headers = HeaderMap::from_iter([("idempotency-key".parse().unwrap(), value.clone())]);
            let request = t.request(Method::POST, "/booking/book-spot", Some(driver)).headers(headers);
            t.send(request.json(&json!({ "lot_id": lot }))).await
        };
        let (first, again) = (book().await, book().await);
        if is_ascii {
            assert_eq!(
                (first.expect(201).text, "true"),
                (again.text, again.headers["idempotency-replayed"].to_str().unwrap()),
                "{text}"
            );
        } else {
            assert_eq!(pointers(&first), ["Idempotency-Key"], "{text}");
        }
        let login = t.request(Method::POST, "/auth/login", None).header("user-agent", value);
        t.send(login.json(&json!({ "email": asha.email, "password": testkit::PASSWORD }))).await.expect(200);
        let sessions = t.get("/auth/sessions", Some(&asha)).await.expect(200);
        let expected = if is_ascii { json!(text) } else { Value::Null };
        assert_eq!(sessions.body["sessions"][0]["user_agent"], expected, "{text}");
    }
}
