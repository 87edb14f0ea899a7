//! Reserving a spot for a time window, cancellations, and no-shows.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::{clock::Clock, time::rfc3339};
use testkit::{Answer, Driver, Engine, TestApp};

use crate::support::{ENGINES, change, content, has, noon, number, plain, pointers, seconds, spots};

pub(crate) fn window(spot: i64, from: DateTime<Utc>, until: DateTime<Utc>) -> Value {
    json!({ "spot_id": spot, "parking_time": rfc3339(from), "leaving_time": rfc3339(until) })
}

pub(crate) async fn reserve(
    t: &TestApp,
    who: &Driver,
    spot: i64,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Answer {
    t.post("/reservations", Some(who), window(spot, from, until)).await
}

/// Reserves a spot for an hour and returns the id.
pub(crate) async fn an_hour(t: &TestApp, who: &Driver, spot: i64, from: DateTime<Utc>) -> i64 {
    let answer = reserve(t, who, spot, from, from + hours(1)).await.expect(201);
    answer.body["reservation"]["id"].as_i64().expect("an id")
}

pub(crate) async fn cancel(t: &TestApp, who: &Driver, id: i64) -> Answer {
    t.delete(&format!("/reservations/{id}"), Some(who)).await
}

pub(crate) async fn occupy(t: &TestApp, who: &Driver, id: i64) -> Answer {
    t.post("/booking/occupy-spot", Some(who), json!({ "reservation_id": id })).await
}

pub(crate) async fn book(t: &TestApp, who: &Driver, lot: i64) -> Answer {
    t.post("/booking/book-spot", Some(who), json!({ "lot_id": lot })).await
}

pub(crate) async fn status(t: &TestApp, who: &Driver, id: i64) -> (Value, Value) {
    let answer = t.get(&format!("/reservations/{id}"), Some(who)).await.expect(200);
    let one = &answer.body["reservation"];
    (one["status"].clone(), one["parking_cost"].clone())
}

pub(crate) fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

pub(crate) fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

pub(crate) fn micro() -> TimeDelta {
    TimeDelta::microseconds(1)
}

#[testkit::both_databases]
async fn reservation_matches_the_contract(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let lot = t.lot(2).await;
    let spot = spots(&t, lot).await[1];
    let answer =
        reserve(&t, &asha, spot, noon() + hours(1), noon() + hours(2) + minutes(30)).await.expect(201);
    let id = answer.body["reservation"]["id"].as_i64().expect("a number");
    let expected = json!({ "reservation": {
        "id": id, "spot_id": spot, "user_id": asha.id, "parking_time": "2026-11-20T13:00:00Z",
        "leaving_time": "2026-11-20T14:30:00Z", "parking_cost": 38.25, "status": "reserved",
    }});
    has(&plain(&answer), &expected);
    has(&plain(&t.get(&format!("/reservations/{id}"), Some(&asha)).await.expect(200)), &expected);
    has(&plain(&t.get(&format!("/reservations/{id}"), Some(&admin)).await.expect(200)), &expected);
    let all = plain(&t.get("/reservations", Some(&admin)).await.expect(200));
    has(&all, &json!({ "reservations": [expected["reservation"]] }));
    let lot = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
    assert_eq!(lot.body["lot"]["available_slots"], 1);
    let jobs =
        format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation' AND owner_id = {}", asha.id);
    assert_eq!(number(&t, &jobs).await, 1);
    let noted =
        format!("SELECT COUNT(*) AS n FROM user_activity WHERE kind = 'booking' AND subject = '{id}'");
    assert_eq!(number(&t, &noted).await, 1);
}

#[testkit::both_databases]
async fn confirmation_mail_names_the_window(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let tomorrow =
        (t.app.clock.now() + TimeDelta::days(1)).date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc();
    an_hour(&t, &asha, spot, tomorrow).await;
    t.eventually("welcome and confirmation are sent", || async { t.mails().len() == 2 }).await;
    let mails = t.mails();
    let mail = mails.iter().find(|mail| mail.subject.contains("Main Street")).expect("a confirmation");
    assert!(mail.text.contains("17:30 IST\n  Until") && mail.text.contains("18:30 IST"), "{}", mail.text);
}

/// Defects 22 and 23: the quote is exact, in minor units, at the price at that moment.
#[testkit::both_databases]
async fn quote_covers_the_window_and_bill_starts_at_arrival(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let mut begin = noon() + hours(1);
    for (length, quote) in [
        (seconds(60), 0.43),                      // 42.5 minor units, half up
        (seconds(1), 0.01),                       // 0.708…
        (TimeDelta::microseconds(705_882), 0.0),  // just below half a minor unit
        (TimeDelta::microseconds(705_883), 0.01), // just above
        (hours(1), 25.5),
        (seconds(5_400), 38.25),
        (hours(720), 18_360.0),
    ] {
        let answer = reserve(&t, &asha, spot, begin, begin + length).await.expect(201);
        assert_eq!(answer.body["reservation"]["parking_cost"], quote, "{length}");
        begin += length;
    }
    let quoted = reserve(&t, &asha, spot, noon(), noon() + minutes(30)).await.expect(201);
    change(&t, "UPDATE lots SET price_minor = 9900 WHERE id = $1", [lot.into()]).await.unwrap();
    let id = quoted.body["reservation"]["id"].as_i64().unwrap();
    assert_eq!(quoted.body["reservation"]["parking_cost"], 12.75);
    clock.advance(minutes(20));
    occupy(&t, &asha, id).await.expect(200);
    clock.advance(minutes(61));
    let bill = t.release(&asha, id).await.expect(200);
    assert_eq!(bill.body["reservation"]["parking_cost"], 51.0, "two started hours at the old price");
    assert_eq!(status(&t, &asha, id).await, (json!("completed"), json!(51.0)));
}

/// Defect 28: negative, empty, past and endless windows are rejected.
#[testkit::both_databases]
async fn impossible_windows_are_rejected(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let (one, year) = (noon() + hours(1), noon() + TimeDelta::days(365));
    let before = content(&t).await;
    for (from, until, wrong) in [
        (noon() - micro(), one, vec!["/parking_time"]),
        (noon() - hours(1), noon() - hours(2), vec!["/parking_time", "/leaving_time"]),
        (one, one, vec!["/leaving_time"]),
        (one, one - micro(), vec!["/leaving_time"]),
        (one, one + hours(720) + micro(), vec!["/leaving_time"]),
        (year + micro(), year + hours(1), vec!["/parking_time"]),
    ] {
        assert_eq!(pointers(&reserve(&t, &asha, spot, from, until).await), wrong, "{from} {until}");
    }
    for text in [
        "",
        "tomorrow",
        "2026-11-31",
        "2026-11-20T25:00:00Z",
        "2026-11-20T12:00:00+25:00",
        "9999-12-31T23:59:59Z",
        "\u{0}",
    ] {
        let body = json!({ "spot_id": spot, "parking_time": text, "leaving_time": text });
        assert_eq!(
            pointers(&t.post("/reservations", Some(&asha), body).await),
            ["/parking_time", "/leaving_time"],
            "{text}"
        );
    }
    assert_eq!(content(&t).await, before);
    reserve(&t, &asha, spot, noon(), noon() + hours(720)).await.expect(201);
    reserve(&t, &asha, spot, year, year + hours(720)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn longest_window_is_configurable() {
    let t = TestApp::start_with(Engine::Sqlite, &[("RESERVATION_MAX_HOURS", "2")]).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let begin = t.app.clock.now() + hours(1);
    let long = reserve(&t, &asha, spot, begin, begin + hours(2) + micro()).await;
    assert_eq!(pointers(&long), ["/leaving_time"]);
    assert!(long.body["detail"].as_str().unwrap().contains("2 hours"), "{}", long.text);
    reserve(&t, &asha, spot, begin, begin + hours(2)).await.expect(201);
}

/// Defect 25: local times are in the application's time zone, offsets are respected, and times that a clock change
/// skips or repeats are rejected.
#[tokio::test(flavor = "multi_thread")]
async fn times_without_offset_are_in_the_app_timezone() {
    for engine in ENGINES {
        let t = TestApp::start_with(engine, &[("APP_TIMEZONE", "Europe/Berlin")]).await;
        let t = t.at(Clock::fixed("2026-10-20T12:00:00Z".parse().unwrap())).await;
        let asha = t.driver("Asha").await;
        let lot = t.lot(1).await;
        let spot = spots(&t, lot).await[0];
        for (sent, read) in [
            (["2026-10-24T10:00:00", "2026-10-24T11:00"], ["2026-10-24T08:00:00Z", "2026-10-24T09:00:00Z"]),
            (
                ["2026-10-25T10:00:00", "2026-10-25T11:00:00"],
                ["2026-10-25T09:00:00Z", "2026-10-25T10:00:00Z"],
            ),
            (
                ["2026-10-25T12:00:00+02:00", "2026-10-25T12:00:00+01:00"],
                ["2026-10-25T10:00:00Z", "2026-10-25T11:00:00Z"],
            ),
            (
                ["2026-10-26T23:30:00-05:30", "2026-10-27T05:30:00.1234567Z"],
                ["2026-10-27T05:00:00Z", "2026-10-27T05:30:00.123456Z"],
            ),
            (["2026-10-28", "2026-10-29"], ["2026-10-27T23:00:00Z", "2026-10-28T23:00:00Z"]),
        ] {
            let body = json!({ "spot_id": spot, "parking_time": sent[0], "leaving_time": sent[1] });
            let made =
                t.post("/reservations", Some(&asha), body).await.expect(201).body["reservation"].clone();
            assert_eq!([&made["parking_time"], &made["leaving_time"]], read);
            let stored = t.get(&format!("/reservations/{}", made["id"]), Some(&asha)).await.expect(200);
            assert_eq!(stored.body["reservation"], made);
        }
        for local in ["2026-10-25T02:30:00", "2027-03-28T02:30:00"] {
            let body =
                json!({ "spot_id": spot, "parking_time": local, "leaving_time": "2027-03-28T12:00:00" });
            let answer = t.post("/reservations", Some(&asha), body).await;
            assert_eq!(pointers(&answer), ["/parking_time"], "{local}");
        }
    }
}

#[testkit::both_databases]
async fn only_admins_reserve_for_others(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let day = noon() + TimeDelta::days(1);
    let send = async |who: &Driver, n: i64, user: Value| {
        let mut body = window(spot, day + hours(n), day + hours(n + 1));
        body["user_id"] = user;
        t.post("/reservations", Some(who), body).await
    };
    let before = content(&t).await;
    for user in [json!(ravi.id), json!(ravi.id.to_string()), json!(999_999), json!(0), json!(-1)] {
        send(&asha, 0, user).await.problem(403, "forbidden");
    }
    send(&admin, 0, json!(999_999)).await.problem(404, "not_found");
    for user in [json!("me"), json!(1.5), json!(true), json!(""), json!([1])] {
        assert_eq!(pointers(&send(&asha, 0, user.clone()).await), ["/user_id"], "{user}");
    }
    assert_eq!(content(&t).await, before);
    for (n, who, user, owner) in [
        (0, &asha, json!(asha.id), asha.id),
        (1, &asha, json!(asha.id.to_string()), asha.id),
        (2, &asha, json!(null), asha.id),
        (3, &admin, json!(ravi.id), ravi.id),
        (4, &admin, json!(format!(" {} ", ravi.id)), ravi.id),
        (5, &admin, json!(null), admin.id),
    ] {
        let made = send(who, n, user).await.expect(201);
        assert_eq!(made.body["reservation"]["user_id"], owner);
    }
    let of = |user: i64| {
        format!("SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation' AND owner_id = {user}")
    };
    assert_eq!(
        (number(&t, &of(ravi.id)).await, number(&t, &of(admin.id)).await),
        (2, 1),
        "mails go to the owner"
    );
    change(&t, "UPDATE users SET deleted_at = created_at WHERE id = $1", [ravi.id.into()]).await.unwrap();
    send(&admin, 6, json!(ravi.id)).await.problem(404, "not_found");
}

/// Defect 16.
#[testkit::both_databases]
async fn spots_out_of_service_cannot_be_reserved(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let asha = t.driver("Asha").await;
    let (lot, archived) = (t.lot(3).await, t.lot(1).await);
    let [fine, retiring, retired] = spots(&t, lot).await.try_into().unwrap();
    let gone = spots(&t, archived).await[0];
    let reserved = an_hour(&t, &asha, gone, noon()).await;
    change(&t, "UPDATE spots SET retiring = TRUE WHERE id = $1", [retiring.into()]).await.unwrap();
    change(
        &t,
        "UPDATE spots SET retired_at = $2 WHERE id = $1",
        [retired.into(), shared::platform::db::at(noon())],
    )
    .await
    .unwrap();
    change(&t, "UPDATE lots SET archived_at = created_at WHERE id = $1", [archived.into()]).await.unwrap();
    let before = content(&t).await;
    for spot in [retired, gone, 0, -1, 999_999, i64::MAX, i64::MIN] {
        reserve(&t, &asha, spot, noon() + hours(4), noon() + hours(5)).await.problem(404, "not_found");
    }
    reserve(&t, &asha, retiring, noon() + hours(4), noon() + hours(5)).await.problem(409, "spot_retiring");
    assert_eq!(content(&t).await, before);
    an_hour(&t, &asha, fine, noon() + hours(4)).await;
    occupy(&t, &asha, reserved).await.expect(200);
    t.release(&asha, reserved).await.expect(200);
}

/// Defects 6 and 28: windows on one spot never overlap.
#[testkit::both_databases]
async fn overlapping_windows_conflict_adjacent_ones_do_not(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    let [spot, other] = spots(&t, lot).await.try_into().unwrap();
    let (from, until) = (noon() + hours(2), noon() + hours(4));
    reserve(&t, &asha, spot, from, until).await.expect(201);
    let before = content(&t).await;
    for who in [&asha, &ravi] {
        for (from, until) in [
            (from, until),
            (from + minutes(1), until - minutes(1)),
            (from - minutes(1), until + minutes(1)),
            (from - hours(1), from + micro()),
            (until - micro(), until + hours(1)),
        ] {
            reserve(&t, who, spot, from, until).await.problem(409, "spot_taken");
        }
    }
    assert_eq!(content(&t).await, before);
    reserve(&t, &ravi, spot, from - hours(1), from).await.expect(201);
    reserve(&t, &ravi, spot, until, until + hours(1)).await.expect(201);
    reserve(&t, &ravi, other, from, until).await.expect(201);
}

#[testkit::both_databases]
async fn walk_in_blocks_windows_only_while_it_is_expected_to_stay(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let id = t.book(&asha, lot).await;
    for later in [minutes(0), minutes(119)] {
        let begin = noon() + later;
        reserve(&t, &ravi, spot, begin, begin + hours(1)).await.problem(409, "spot_taken");
    }
    an_hour(&t, &ravi, spot, noon() + hours(2)).await;
    t.release(&asha, id).await.expect(200);
    an_hour(&t, &ravi, spot, noon()).await;
    book(&t, &asha, lot).await.problem(409, "lot_full");
}

#[testkit::both_databases]
async fn reserving_is_idempotent(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let send = async |key: &str, n: i64| {
        let body = window(spot, noon() + hours(n), noon() + hours(n + 1));
        t.send(
            t.request(Method::POST, "/reservations", Some(&asha)).header("idempotency-key", key).json(&body),
        )
        .await
    };
    let first = send("a", 1).await.expect(201);
    let again = send("a", 1).await.expect(201);
    assert_eq!((again.headers["idempotency-replayed"].to_str().unwrap(), &again.body), ("true", &first.body));
    send("a", 2).await.problem(422, "idempotency_key_reused");
    send("b", 1).await.problem(409, "spot_taken");
    send("b", 1).await.problem(409, "spot_taken");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 1);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation'").await, 1);
}

/// Defect 10.
#[testkit::both_databases]
async fn only_upcoming_reservations_can_be_cancelled(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let id = an_hour(&t, &asha, spot, noon()).await;
    cancel(&t, &ravi, id).await.problem(404, "not_found");
    cancel(&t, &asha, 999_999).await.problem(404, "not_found");
    assert_eq!(status(&t, &asha, id).await, (json!("reserved"), json!(25.5)));
    let first = cancel(&t, &asha, id).await.expect(200);
    assert_eq!(cancel(&t, &asha, id).await.expect(200).body, first.body);
    assert_eq!(cancel(&t, &admin, id).await.expect(200).body, first.body);
    assert_eq!(status(&t, &asha, id).await, (json!("cancelled"), json!(0.0)), "the row stays");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM user_activity WHERE kind = 'cancellation'").await, 1);
    occupy(&t, &asha, id).await.problem(409, "wrong_state");

    let second = an_hour(&t, &asha, spot, noon()).await;
    occupy(&t, &asha, second).await.expect(200);
    let running = cancel(&t, &asha, second).await;
    running.problem(409, "wrong_state");
    assert!(running.body["detail"].as_str().unwrap().contains("release"), "{}", running.text);
    clock.advance(minutes(10));
    t.release(&asha, second).await.expect(200);
    let next = t.book(&ravi, lot).await;
    for who in [&asha, &admin] {
        cancel(&t, who, second).await.problem(409, "wrong_state");
    }
    cancel(&t, &ravi, next).await.problem(409, "wrong_state");
    assert_eq!(status(&t, &asha, second).await, (json!("completed"), json!(25.5)), "revenue stays");
    assert_eq!(status(&t, &ravi, next).await.0, "active", "the next driver keeps the spot");
    t.release(&ravi, next).await.expect(200);

    let third = an_hour(&t, &asha, spot, clock.now()).await;
    cancel(&t, &admin, third).await.expect(200);
    let of_owner = format!(
        "SELECT COUNT(*) AS n FROM user_activity WHERE kind = 'cancellation' AND user_id = {}",
        asha.id
    );
    assert_eq!(number(&t, &of_owner).await, 2, "an administrator acts for the owner");
    an_hour(&t, &ravi, spot, clock.now()).await;
}

/// Defect 14.
#[testkit::both_databases]
async fn only_the_owner_and_admins_see_a_reservation(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let id = an_hour(&t, &asha, spot, noon()).await;
    for path in ["/reservations".to_owned(), format!("/reservations/{id}")] {
        t.get(&path, None).await.problem(401, "unauthenticated");
    }
    t.get("/reservations", Some(&asha)).await.problem(403, "forbidden");
    t.get(&format!("/reservations/{id}"), Some(&ravi)).await.problem(404, "not_found");
    for unknown in ["0", "-1", "999999", "abc"] {
        t.get(&format!("/reservations/{unknown}"), Some(&admin)).await.problem(404, "not_found");
    }
    t.get(&format!("/reservations/{id}"), Some(&admin)).await.expect(200);
}

#[testkit::both_databases]
async fn reservation_list_is_paged(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let lot = t.lot(1).await;
    let spot = spots(&t, lot).await[0];
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(an_hour(&t, &asha, spot, noon() + hours(n)).await);
    }
    let mut path = "/reservations?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = t.get(&path, Some(&admin)).await.expect(200);
        seen.extend(
            answer.body["reservations"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()),
        );
        let Some(link) = answer.headers.get("link") else { break };
        path = link
            .to_str()
            .unwrap()
            .strip_prefix("</api")
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap()
            .to_owned();
    }
    assert_eq!(seen, ids);
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=x"] {
        t.get(&format!("/reservations?{wrong}"), Some(&admin)).await.problem(400, "invalid");
    }
}
