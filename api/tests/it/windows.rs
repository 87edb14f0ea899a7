//! Availability by time: windows, drivers without a reservation, arrivals and overstays.

use serde_json::json;
use shared::{
    base::{clock::Clock, time::rfc3339},
    parking::bookings,
};
use testkit::{Answer, Driver, TestApp};

use crate::reservations::{an_hour, book, hours, minutes, occupy, reserve};
use crate::support::{noon, spots};

async fn free(t: &TestApp, lot: i64) -> i64 {
    let answer = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
    let free = answer.body["lot"]["available_slots"].as_i64().unwrap();
    let listed = t.get(&format!("/parking-lots/{lot}/available-spots"), None).await.expect(200);
    assert_eq!(listed.body["count"], free);
    assert_eq!(listed.body["available_spots"].as_array().unwrap().len() as i64, free);
    free
}

async fn drivers<const N: usize>(t: &TestApp) -> [Driver; N] {
    crate::support::many_drivers(t, "d", N).await.try_into().ok().unwrap()
}

fn id(answer: &Answer) -> i64 {
    answer.body["reservation"]["id"].as_i64().expect("an id")
}

fn spot(answer: &Answer) -> i64 {
    answer.body["reservation"]["spot_id"].as_i64().expect("a spot")
}

async fn at_noon(t: TestApp) -> (TestApp, Clock) {
    // The clock leaps over days.
    let t = t.second_process(&[("SESSION_HOURS", "8000")]).await;
    let clock = Clock::fixed(noon());
    (t.at(clock.clone()).await, clock)
}

#[testkit::both_databases]
async fn a_distant_window_leaves_its_spot_to_others_until_then(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, bob, eve] = drivers(&t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    let start = noon() + hours(60 * 24);
    reserve(&t, &ann, only, start, start + minutes(1)).await.expect(201);
    assert_eq!(free(&t, lot).await, 1);
    let stay = id(&book(&t, &bob, lot).await.expect(201));
    assert_eq!(free(&t, lot).await, 0);
    t.release(&bob, stay).await.expect(200);
    clock.advance(hours(60 * 24) - minutes(120));
    assert_eq!(free(&t, lot).await, 1, "the window is due only later");
    clock.advance(minutes(1));
    assert_eq!(free(&t, lot).await, 0, "without any write in between");
    book(&t, &eve, lot).await.problem(409, "lot_full");
}

#[testkit::both_databases]
async fn early_drivers_may_park_a_quarter_of_an_hour_before(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann] = drivers(&t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    let window = an_hour(&t, &ann, only, noon() + hours(1)).await;
    clock.advance(minutes(44));
    let early = occupy(&t, &ann, window).await;
    early.problem(409, "too_early");
    assert!(early.body["detail"].as_str().unwrap().contains("12:45:00Z"), "{}", early.text);
    clock.advance(minutes(11));
    let parked = occupy(&t, &ann, window).await.expect(200);
    assert_eq!(parked.body["reservation"]["parking_time"], "2026-11-20T12:55:00Z");
    clock.advance(minutes(61));
    let bill = t.release(&ann, window).await.expect(200);
    assert_eq!(bill.body["reservation"]["charged_hours"], 2, "billed from the arrival");
}

#[testkit::both_databases]
async fn an_early_driver_does_not_take_the_spot_of_another_window(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, bob] = drivers(&t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    an_hour(&t, &ann, only, noon()).await;
    let next = an_hour(&t, &bob, only, noon() + hours(1)).await;
    clock.advance(minutes(20));
    clock.advance(minutes(9));
    occupy(&t, &bob, next).await.problem(409, "too_early");
    clock.advance(minutes(20));
    occupy(&t, &bob, next).await.expect(200);
}

/// The rule that drivers without a reservation leave a spot for each displaced window.
#[testkit::both_databases]
async fn a_displaced_window_keeps_another_spot_free(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, bob, eve, dan] = drivers(&t).await;
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let window = an_hour(&t, &ann, first, noon() + hours(4)).await;
    let parked = book(&t, &bob, lot).await.expect(201);
    assert_eq!(spot(&parked), second, "the spot whose next window begins latest");
    let other = book(&t, &eve, lot).await.expect(201);
    assert_eq!(spot(&other), first);
    t.release(&bob, id(&parked)).await.expect(200);
    assert_eq!(free(&t, lot).await, 1);
    clock.advance(hours(3));
    assert_eq!(free(&t, lot).await, 0, "the free spot is kept for the displaced window");
    book(&t, &dan, lot).await.problem(409, "lot_full");
    clock.advance(hours(1));
    let arrived = occupy(&t, &ann, window).await.expect(200);
    assert_eq!(spot(&arrived), second);
}

#[testkit::both_databases]
async fn windows_move_from_occupied_spots_and_drivers_are_told(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, eve, bob] = drivers(&t).await;
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let parked = book(&t, &bob, lot).await.expect(201);
    assert_eq!(spot(&parked), first);
    let window = id(&reserve(&t, &ann, second, noon() + hours(3), noon() + hours(4)).await.expect(201));
    assert_eq!(spot(&book(&t, &eve, lot).await.expect(201)), second);
    assert_eq!(bookings::reseat_all(&t.app).await.unwrap(), 0, "it is not due yet");
    t.release(&bob, id(&parked)).await.expect(200);
    clock.advance(hours(2));
    assert_eq!(bookings::reseat_all(&t.app).await.unwrap(), 1);
    assert_eq!(bookings::reseat_all(&t.app).await.unwrap(), 0);
    let moved = t.get(&format!("/reservations/{window}"), Some(&ann)).await.expect(200);
    assert_eq!(spot(&moved), first);
    let _worker = t.work();
    t.eventually("the driver is told", || async {
        t.mails().iter().any(|mail| mail.subject == "Your spot at Main Street is now number 1")
    })
    .await;
}

#[testkit::both_databases]
async fn a_punctual_driver_parks_while_any_spot_is_without_a_car(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, bob, eve] = drivers(&t).await;
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let early = an_hour(&t, &ann, first, noon() + hours(5)).await;
    let late =
        id(&reserve(&t, &bob, second, noon() + hours(5) + minutes(30), noon() + hours(8)).await.expect(201));
    let parked = book(&t, &eve, lot).await.expect(201);
    assert_eq!(spot(&parked), second);
    clock.advance(hours(5));
    // Both windows are due, and one of them has the only spot without a car.
    assert_eq!(spot(&occupy(&t, &ann, early).await.expect(200)), first);
    clock.advance(minutes(30));
    let refused = occupy(&t, &bob, late).await;
    refused.problem(409, "spot_overstayed");
    t.release(&eve, id(&parked)).await.expect(200);
    assert_eq!(spot(&occupy(&t, &bob, late).await.expect(200)), second);
}

#[testkit::both_databases]
async fn windows_of_occupied_and_empty_spots_change_places(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, bob, eve, dan] = drivers(&t).await;
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let window = an_hour(&t, &ann, first, noon() + hours(5)).await;
    let next =
        id(&reserve(&t, &bob, second, noon() + hours(5) + minutes(30), noon() + hours(8)).await.expect(201));
    let on_second = book(&t, &dan, lot).await.expect(201);
    let on_first = book(&t, &eve, lot).await.expect(201);
    assert_eq!((spot(&on_second), spot(&on_first)), (second, first));
    t.release(&dan, id(&on_second)).await.expect(200);
    clock.advance(hours(5));
    // The second spot is reserved from half past, but whoever is in time parks.
    assert_eq!(spot(&occupy(&t, &ann, window).await.expect(200)), second);
    let moved = t.get(&format!("/reservations/{next}"), Some(&bob)).await.expect(200);
    assert_eq!(spot(&moved), first);
}

#[testkit::both_databases]
async fn a_driver_who_is_turned_away_has_not_missed_the_window(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, eve] = drivers(&t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    t.admin().await;
    for _ in 0..3 {
        let stay = id(&book(&t, &eve, lot).await.expect(201));
        let window = an_hour(&t, &ann, only, t.app.clock.now() + hours(3)).await;
        clock.advance(hours(3));
        occupy(&t, &ann, window).await.problem(409, "spot_overstayed");
        clock.advance(hours(1));
        assert_eq!(bookings::expire_no_shows(&t.app).await.unwrap(), 1);
        t.release(&eve, stay).await.expect(200);
    }
    an_hour(&t, &ann, only, t.app.clock.now() + hours(3)).await;
    let alerts = "SELECT COUNT(*) AS n FROM alerts WHERE kind = 'turned-away'";
    assert_eq!(testkit::number(&t, alerts).await, 1);
}

#[testkit::both_databases]
async fn a_lot_is_reserved_on_the_spot_that_fits_most_tightly(t: TestApp) {
    let (t, _) = at_noon(t).await;
    let [ann, bob, eve, dan] = drivers(&t).await;
    let lot = t.lot(3).await;
    let [first, second, third] = spots(&t, lot).await.try_into().unwrap();
    let day = noon() + hours(24);
    an_hour(&t, &ann, second, day + hours(2)).await;
    an_hour(&t, &bob, third, day + hours(8)).await;
    let in_lot = |who: Driver, from: i64| {
        let t = &t;
        async move {
            let (from, to) = (rfc3339(day + hours(from)), rfc3339(day + hours(from + 1)));
            let body = json!({ "lot_id": lot, "parking_time": from, "leaving_time": to });
            t.post("/reservations", Some(&who), body).await.expect(201)
        }
    };
    assert_eq!(spot(&in_lot(eve, 1).await), second, "just before another window");
    assert_eq!(spot(&in_lot(dan, 4).await), third);
    let _ = first;
}

#[testkit::both_databases]
async fn availability_is_answered_for_a_window(t: TestApp) {
    let (t, _) = at_noon(t).await;
    let [ann] = drivers(&t).await;
    let lot = t.lot(2).await;
    let only = spots(&t, lot).await[0];
    an_hour(&t, &ann, only, noon() + hours(24)).await;
    let ask = |path: &str, from: i64, to: i64| {
        let (from, to) = (rfc3339(noon() + hours(from)), rfc3339(noon() + hours(to)));
        format!("/parking-lots{path}?from={from}&to={to}")
    };
    for (from, to, free) in [(23, 24, 2), (24, 25, 1), (20, 30, 1), (25, 26, 2)] {
        let one = t.get(&ask(&format!("/{lot}/availability"), from, to), None).await.expect(200);
        assert_eq!(one.body["available_slots"], free, "{from} to {to}");
        let all = t.get(&ask("", from, to), None).await.expect(200);
        assert_eq!(all.body["lots"][0]["available_slots"], free);
        let listed = t.get(&ask(&format!("/{lot}/available-spots"), from, to), None).await.expect(200);
        assert_eq!(listed.body["count"], free);
        assert_eq!(listed.body["available_spots"].as_array().unwrap().len(), free);
    }
    let quoted = t.get(&ask(&format!("/{lot}/availability"), 20, 22), None).await.expect(200);
    assert_eq!(quoted.body["quote"], 51.0);
    for query in ["from=2026-11-21T12:00:00Z", "to=2026-11-21T12:00:00Z", "from=x&to=y", ""] {
        t.get(&format!("/parking-lots/{lot}/availability?{query}"), None).await.expect(400);
    }
}

#[testkit::both_databases]
async fn a_window_can_move_before_it_starts_and_a_stay_be_extended(t: TestApp) {
    let (t, clock) = at_noon(t).await;
    let [ann, bob] = drivers(&t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    let window = an_hour(&t, &ann, only, noon() + hours(10)).await;
    let change = async |from: Option<i64>, to: i64| {
        let mut body = json!({ "leaving_time": rfc3339(noon() + hours(to)) });
        if let Some(from) = from {
            body["parking_time"] = rfc3339(noon() + hours(from)).into();
        }
        let path = format!("/reservations/{window}");
        t.patch(&path, Some(&ann), body).await
    };
    let moved = change(Some(5), 7).await.expect(200);
    assert_eq!(moved.body["reservation"]["parking_time"], "2026-11-20T17:00:00Z");
    assert_eq!(moved.body["reservation"]["parking_cost"], 51.0);
    an_hour(&t, &bob, only, noon() + hours(8)).await;
    change(Some(5), 9).await.problem(409, "lot_full");
    clock.advance(hours(5));
    occupy(&t, &ann, window).await.expect(200);
    change(None, 8).await.expect(200);
    change(None, 9).await.problem(409, "spot_taken");
    change(Some(6), 8).await.problem(409, "wrong_state");
    change(None, 1).await.expect(400);
    t.release(&ann, window).await.expect(200);
    change(None, 8).await.problem(409, "wrong_state");
}

#[testkit::both_databases]
async fn lists_of_stays_hide_windows_unless_asked(t: TestApp) {
    let (t, _) = at_noon(t).await;
    let [ann] = drivers(&t).await;
    let lot = t.lot(2).await;
    let [first, second] = spots(&t, lot).await.try_into().unwrap();
    let window = an_hour(&t, &ann, second, noon() + hours(30)).await;
    let done = id(&book(&t, &ann, lot).await.expect(201));
    t.release(&ann, done).await.expect(200);
    let running = id(&book(&t, &ann, lot).await.expect(201));
    let gone = an_hour(&t, &ann, first, noon() + hours(50)).await;
    t.delete(&format!("/reservations/{gone}"), Some(&ann)).await.expect(200);
    for (query, expected) in [
        ("", vec![done, running]),
        ("?state=upcoming", vec![window]),
        ("?state=active", vec![running]),
        ("?state=completed", vec![done]),
        ("?state=all", vec![window, done, running, gone]),
    ] {
        let path = format!("/users/{}/reservations{query}", ann.id);
        let list = t.get(&path, Some(&ann)).await.expect(200);
        let ids: Vec<_> =
            list.body["reservations"].as_array().unwrap().iter().map(|r| r["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    t.get(&format!("/users/{}/reservations?state=parked", ann.id), Some(&ann)).await.expect(400);
}
