//! Tariffs of lots: versions, what stays are billed by, and public holidays.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::{
    base::{clock::Clock, money::Money},
    operations::{
        integrity,
        simulate::{Comparison, simulate},
    },
    parking::reports::calendar,
};
use testkit::{Answer, Driver, TestApp, change, number};

use crate::support::{content, has, noon, pointers};

/// 10.00 for every quarter of an hour, at most 100.00 a day, and 10 minutes free.
pub(crate) fn by_the_quarter() -> Value {
    json!({
        "currency": "INR", "free_minutes": 10,
        "lines": [{ "name": "Quarter", "amount": 1000, "charge": { "kind": "step", "minutes": 15 } }],
        "caps": { "per_day": 10_000 }
    })
}

/// `amount` minor units, however long the stay.
fn flat(amount: i64) -> Value {
    json!({ "currency": "INR", "lines": [{ "name": "Entry", "amount": amount, "charge": { "kind": "flat" } }] })
}

async fn add(t: &TestApp, admin: &Driver, lot: i64, tariff: Value) -> Answer {
    let path = format!("/admin/lots/{lot}/tariffs");
    t.post(&path, Some(admin), json!({ "tariff": tariff })).await.expect(201)
}

async fn start(t: &TestApp) -> (TestApp, Clock) {
    let clock = Clock::fixed(noon());
    (t.at(clock.clone()).await, clock)
}

async fn cost(t: &TestApp, driver: &Driver, id: i64) -> Value {
    t.release(driver, id).await.expect(200).body["reservation"]["cost"].clone()
}

#[testkit::both_databases]
async fn a_stay_keeps_the_tariff_it_was_booked_by(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (asha, ravi, nila) = (t.driver("Asha").await, t.driver("Ravi").await, t.driver("Nila").await);
    let (admin, lot) = (t.admin().await, t.lot(3).await);
    let hourly = t.book(&asha, lot).await;
    let version = add(&t, &admin, lot, by_the_quarter()).await.body["version"].clone();
    has(
        &version,
        &json!({ "valid_from": "2026-11-20T12:00:00Z", "hourly_rate": null, "tariff": by_the_quarter() }),
    );
    let booked = t.post("/booking/book-spot", Some(&ravi), json!({ "lot_id": lot })).await.expect(201).body;
    has(&booked["reservation"], &json!({ "cost_so_far": 0.0, "charged_hours": null, "hourly_rate": 25.5 }));
    let quarters = booked["reservation"]["id"].as_i64().unwrap();
    add(&t, &admin, lot, flat(7700)).await;
    let entry = t.book(&nila, lot).await;
    clock.advance(TimeDelta::minutes(61));
    let running = t.get(&format!("/reservations/{quarters}"), Some(&ravi)).await.expect(200).body;
    assert_eq!(running["reservation"]["cost_so_far"], 50.0);
    assert_eq!(cost(&t, &asha, hourly).await, 51.0);
    assert_eq!(cost(&t, &ravi, quarters).await, 50.0);
    assert_eq!(cost(&t, &nila, entry).await, 77.0);
    let bill = t.get(&format!("/reservations/{quarters}/bill"), Some(&ravi)).await.expect(200).body;
    has(
        &bill["bill"],
        &json!({ "total": 50.0, "lines": [{ "rule": "line", "name": "Quarter", "quantity": 5, "amount": 50.0 }] }),
    );
    t.is_sound().await;
}

#[testkit::both_databases]
async fn only_another_price_makes_an_hourly_version(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let (admin, lot) = (t.admin().await, t.lot(2).await);
    let (path, versions) = (format!("/parking-lots/{lot}"), "SELECT COUNT(*) AS n FROM tariff_versions");
    let price = |price: f64| t.put(&path, Some(&admin), json!({ "price": price, "address": "B" }));
    price(25.5).await.expect(200);
    assert_eq!(number(&t, versions).await, 0);
    add(&t, &admin, lot, flat(7700)).await;
    price(25.5).await.expect(200);
    let entry = t.book(&asha, lot).await;
    assert_eq!(number(&t, versions).await, 1, "the same price ends no tariff");
    clock.advance(TimeDelta::minutes(1));
    price(30.0).await.expect(200);
    let hourly = t.book(&ravi, lot).await;
    let list = t.get(&format!("/admin/lots/{lot}/tariffs"), Some(&admin)).await.expect(200).body;
    has(
        &list["versions"],
        &json!([{ "hourly_rate": null, "tariff": flat(7700), "rules": ["Entry: ₹77.00 once"] },
            { "hourly_rate": 30.0, "tariff": null, "rules": [], "valid_from": "2026-11-20T12:01:00Z" }]),
    );
    clock.advance(TimeDelta::minutes(90));
    assert_eq!((cost(&t, &asha, entry).await, cost(&t, &ravi, hourly).await), (json!(77.0), json!(60.0)));
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_version_comes_into_force_at_its_beginning(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (admin, lot) = (t.admin().await, t.lot(2).await);
    let path = format!("/admin/lots/{lot}/tariffs");
    let at = noon() + TimeDelta::minutes(5);
    let later = json!({ "valid_from": at, "tariff": by_the_quarter() });
    t.post(&path, Some(&admin), later).await.expect(201);
    let details = async || t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
    let before = details().await;
    assert_eq!(before.body.get("tariff"), None);
    clock.advance(TimeDelta::minutes(5));
    let after = details().await;
    has(
        &after.body["tariff"],
        &json!({ "time_zone": "Asia/Kolkata", "holidays": [], "rules": [
            "A stay of up to 10 minutes costs nothing", "Quarter: ₹10.00 for every 15 minutes started",
            "At most ₹100.00 a day"] }),
    );
    assert_ne!(before.headers["etag"], after.headers["etag"]);
    let asha = t.driver("Asha").await;
    let id = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(10));
    let left = t.release(&asha, id).await.expect(200).body["reservation"].clone();
    has(&left, &json!({ "cost": 0.0, "payment": { "state": "paid" } }));
    t.is_sound().await;
}

#[testkit::both_databases]
async fn wrong_tariffs_name_their_fields(t: TestApp) {
    let (t, _) = start(&t).await;
    let (admin, lot) = (t.admin().await, t.lot(1).await);
    let send =
        async |lot: i64, body: Value| t.post(&format!("/admin/lots/{lot}/tariffs"), Some(&admin), body).await;
    let with = |pointer: &str, value: Value| {
        let mut body = json!({ "tariff": by_the_quarter() });
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    for (pointer, value) in [
        ("/tariff/currency", json!("EUR")),
        ("/tariff/free_minutes", json!(1441)),
        ("/tariff/lines/0/amount", json!(-1)),
        ("/tariff/lines/0/charge/minutes", json!(0)),
        ("/tariff/lines", json!([])),
        ("/tariff/caps/per_day", json!(0)),
    ] {
        assert_eq!(pointers(&send(lot, with(pointer, value)).await), [pointer]);
    }
    let misspelt = json!({ "tariff": { "currency": "INR", "lines": [], "free_minuts": 5 } });
    assert_eq!(pointers(&send(lot, misspelt).await), ["/tariff/free_minuts"]);
    let past = json!({ "tariff": flat(1), "valid_from": noon() - TimeDelta::seconds(1) });
    assert_eq!(pointers(&send(lot, past).await), ["/valid_from"]);
    let far = json!({ "tariff": flat(1), "valid_from": noon() + TimeDelta::days(367) });
    assert_eq!(pointers(&send(lot, far).await), ["/valid_from"]);
    send(999_999, json!({ "tariff": flat(1) })).await.problem(404, "not_found");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM tariff_versions").await, 0);
}

#[testkit::both_databases]
async fn new_holidays_are_for_later_bookings(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (admin, lot) = (t.admin().await, t.lot(2).await);
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let tariff = json!({ "currency": "INR", "lines": [
        { "name": "Holiday", "weekdays": [], "amount": 100, "charge": { "kind": "flat" } },
        { "name": "Day", "amount": 5000, "charge": { "kind": "flat" } }] });
    add(&t, &admin, lot, tariff.clone()).await;
    let later = json!({ "valid_from": noon() + TimeDelta::days(9), "tariff": tariff });
    t.post(&format!("/admin/lots/{lot}/tariffs"), Some(&admin), later).await.expect(201);
    let ordinary = t.book(&asha, lot).await;
    let path = format!("/admin/lots/{lot}/holidays");
    let set = async |days: Value| t.put(&path, Some(&admin), json!({ "holidays": days })).await;
    assert_eq!(pointers(&set(json!(["2026-12-25", "25.12.2026"])).await), ["/holidays/1"]);
    for _ in 0..2 {
        let set = set(json!(["2026-12-25", "2026-11-20", "2026-11-20"])).await.expect(200).body;
        assert_eq!(set["holidays"], json!(["2026-11-20", "2026-12-25"]));
    }
    assert_eq!(
        t.get(&path, Some(&admin)).await.expect(200).body["holidays"],
        json!(["2026-11-20", "2026-12-25"])
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM tariff_versions").await, 4, "each has one successor");
    let calendar = "BEGIN:VEVENT\nDTSTART:20261225\nEND:VEVENT";
    let both = json!({ "holidays": ["2026-11-20"], "calendar": calendar });
    let both = t.put(&path, Some(&admin), both).await.expect(200).body;
    assert_eq!(both["holidays"], json!(["2026-11-20", "2026-12-25"]));
    let nothing = json!({ "calendar": "BEGIN:VCALENDAR" });
    assert_eq!(pointers(&t.put(&path, Some(&admin), nothing).await), ["/calendar"]);
    let holiday = t.book(&ravi, lot).await;
    clock.advance(TimeDelta::minutes(30));
    assert_eq!((cost(&t, &asha, ordinary).await, cost(&t, &ravi, holiday).await), (json!(50.0), json!(1.0)));
    t.is_sound().await;
}

fn window(lot: i64, from: DateTime<Utc>, minutes: i64) -> Value {
    json!({ "lot_id": lot, "parking_time": from, "leaving_time": from + TimeDelta::minutes(minutes) })
}

#[testkit::both_databases]
async fn windows_are_quoted_and_billed_by_the_tariff(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(2).await, t.driver("Asha").await);
    add(&t, &admin, lot, by_the_quarter()).await;
    let from = noon() + TimeDelta::hours(1);
    let until = from + TimeDelta::minutes(50);
    let query =
        format!("/parking-lots/{lot}/availability?from={}&to={}", from.to_rfc3339(), until.to_rfc3339());
    let offer = t.get(&query.replace('+', "%2B"), None).await.expect(200).body;
    assert_eq!(offer["quote"], 40.0);
    let made = t.post("/reservations", Some(&asha), window(lot, from, 50)).await.expect(201).body;
    let id = made["reservation"]["id"].as_i64().unwrap();
    assert_eq!(made["reservation"]["quote"], 40.0);
    add(&t, &admin, lot, flat(7700)).await;
    let longer = json!({ "leaving_time": from + TimeDelta::minutes(80) });
    let longer = t.patch(&format!("/reservations/{id}"), Some(&asha), longer).await.expect(200).body;
    assert_eq!(longer["reservation"]["quote"], 60.0, "by the version it was booked by");
    clock.advance(TimeDelta::hours(1));
    t.post("/booking/occupy-spot", Some(&asha), json!({ "reservation_id": id })).await.expect(200);
    clock.advance(TimeDelta::minutes(91));
    assert_eq!(cost(&t, &asha, id).await, 70.0);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn deleting_a_driver_bills_the_stay_by_its_tariff(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(1).await, t.driver("Asha").await);
    add(&t, &admin, lot, by_the_quarter()).await;
    let id = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(31));
    t.delete(&format!("/users/{}", asha.id), Some(&admin)).await.expect(200);
    let bill = t.get(&format!("/reservations/{id}"), Some(&admin)).await.expect(200).body;
    assert_eq!(bill["reservation"]["cost"], 30.0);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn integrity_recomputes_bills_from_their_version(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(1).await, t.driver("Asha").await);
    add(&t, &admin, lot, by_the_quarter()).await;
    let id = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(31));
    t.release(&asha, id).await.expect(200);
    t.is_sound().await;
    for (wrong, right) in [
        ("tariff_version_id = NULL", "tariff_version_id = (SELECT MAX(id) FROM tariff_versions)"),
        ("tariff_version_id = 999", "tariff_version_id = (SELECT MAX(id) FROM tariff_versions)"),
        ("cost_minor = 3001", "cost_minor = 3000"),
    ] {
        change(&t, &format!("UPDATE reservations SET {wrong}"), []).await.unwrap();
        let found = integrity::check(&t.app).await.unwrap();
        let offenders: Vec<_> = found.into_iter().flat_map(|check| check.offenders).collect();
        assert_eq!(offenders, [format!("reservation {id}")], "{wrong}");
        change(&t, &format!("UPDATE reservations SET {right}"), []).await.unwrap();
    }
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_simulation_compares_the_revenue_of_a_month(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (lot, other, asha) = (t.lot(1).await, t.lot(1).await, t.driver("Asha").await);
    for (lot, minutes) in [(lot, 5), (lot, 61), (other, 61)] {
        let id = t.book(&asha, lot).await;
        clock.advance(TimeDelta::minutes(minutes));
        t.release(&asha, id).await.expect(200);
    }
    let month = calendar::month_of("2026-11-01".parse().unwrap(), t.app.config.zone);
    let tariff = || serde_json::from_value(by_the_quarter()).unwrap();
    let before = content(&t).await;
    let found = simulate(&t.app, lot, tariff(), &month).await.unwrap();
    let money = Money::from_minor;
    let expected = Comparison { stays: 2, cheaper: 2, dearer: 0, before: money(7650), after: money(5000) };
    assert_eq!(found, expected);
    assert_eq!(content(&t).await, before);
    let earlier = calendar::last_month(noon(), t.app.config.zone);
    assert_eq!(simulate(&t.app, lot, tariff(), &earlier).await.unwrap(), Comparison::default());
    assert!(simulate(&t.app, 999_999, tariff(), &month).await.is_err());
}

#[testkit::both_databases]
async fn mails_and_printers_show_the_lines_of_the_bill(t: TestApp) {
    let (t, clock) = start(&t).await;
    let (admin, lot, asha) = (t.admin().await, t.lot(1).await, t.driver("Asha").await);
    let mut tariff = by_the_quarter();
    tariff["tax"] =
        json!({ "included": false, "rates": [{ "name": "GST", "per_hundred_thousand": 18_000 }] });
    add(&t, &admin, lot, tariff).await;
    let guest = json!({ "lot_id": lot, "plate": "GUEST 1" });
    t.post("/attendant/arrivals", Some(&admin), guest.clone()).await.expect(201);
    clock.advance(TimeDelta::minutes(31));
    let printed =
        t.post("/attendant/departures", Some(&admin), guest).await.expect(200).body["receipt"].clone();
    let printed = printed.as_str().unwrap();
    assert!(printed.contains("Charged     Quarter × 3 ₹30.00\n"), "{printed}");
    assert!(printed.contains("Charged     GST 18 % ₹5.40\nTotal       ₹35.40"), "{printed}");
    let id = t.book(&asha, lot).await;
    clock.advance(TimeDelta::minutes(31));
    t.release(&asha, id).await.expect(200);
    let worker = t.work();
    t.eventually("the mails", async || t.mails().len() >= 3).await;
    worker.stop().await;
    let text = |subject: &str| {
        let mail = t.mails().into_iter().find(|mail| mail.subject.contains(subject));
        mail.map(|mail| mail.text.to_string()).unwrap_or_default()
    };
    assert!(
        text("Bill").contains("Charged      Quarter × 3: ₹30.00\n  Charged      GST 18 %: ₹5.40"),
        "{}",
        text("Bill")
    );
    assert!(text("booked").contains("  Quarter: ₹10.00 for every 15 minutes started"), "{}", text("booked"));
}
