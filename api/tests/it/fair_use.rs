//! What one driver may reserve: every refusal names the limit and says when it ends.

use chrono::TimeDelta;
use shared::{base::clock::Clock, parking::bookings};
use testkit::{Answer, Driver, TestApp};

use crate::reservations::{an_hour, book, hours, minutes, occupy, reserve};
use crate::support::{many_drivers, noon, spots};

/// The limits that an installation has unless its operator changes them.
const LIMITS: [(&str, &str); 5] = [
    ("SESSION_HOURS", "8000"),
    ("MAX_OPEN_RESERVATIONS", "3"),
    ("MAX_OVERLAPPING_RESERVATIONS", "1"),
    ("MAX_DAYS_AHEAD", "90"),
    ("MAX_NO_SHOWS", "3"),
];

async fn start(t: TestApp) -> (TestApp, Clock, Driver) {
    let clock = Clock::fixed(noon());
    let t = t.second_process(&LIMITS).await.at(clock.clone()).await;
    let driver = many_drivers(&t, "d", 1).await.pop().unwrap();
    (t, clock, driver)
}

fn detail(answer: &Answer) -> &str {
    answer.body["detail"].as_str().unwrap()
}

#[testkit::both_databases]
async fn one_driver_cannot_reserve_many_spots_at_the_same_time(t: TestApp) {
    let (t, _, ann) = start(t).await;
    let admin = t.admin().await;
    let lot = t.lot(50).await;
    let spots = spots(&t, lot).await;
    let start = noon() + hours(24);
    an_hour(&t, &ann, spots[0], start).await;
    for spot in &spots[1..4] {
        let refused = reserve(&t, &ann, *spot, start, start + minutes(1)).await;
        refused.problem(409, "overlapping_reservations");
        assert!(detail(&refused).contains("at most 1"), "{}", refused.text);
        assert!(detail(&refused).contains("2026-11-21T13:00:00Z"), "{}", refused.text);
    }
    // The protected time before a window counts, so windows in a row cannot close a lot either.
    reserve(&t, &ann, spots[1], start + hours(2), start + hours(3))
        .await
        .problem(409, "overlapping_reservations");
    reserve(&t, &ann, spots[1], start + hours(3), start + hours(4)).await.expect(201);
    for spot in &spots[1..4] {
        reserve(&t, &admin, *spot, start, start + minutes(1)).await.expect(201);
    }
}

#[testkit::both_databases]
async fn a_driver_has_three_open_reservations(t: TestApp) {
    let (t, _, ann) = start(t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    for day in 1..=3 {
        an_hour(&t, &ann, only, noon() + TimeDelta::days(day)).await;
    }
    let fourth = noon() + TimeDelta::days(4);
    let refused = reserve(&t, &ann, only, fourth, fourth + hours(1)).await;
    refused.problem(409, "too_many_reservations");
    assert!(detail(&refused).contains("3 reservations"), "{}", refused.text);
    assert!(detail(&refused).contains("2026-11-21T13:00:00Z"), "{}", refused.text);
}

#[testkit::both_databases]
async fn a_driver_reserves_ninety_days_ahead(t: TestApp) {
    let (t, _, ann) = start(t).await;
    let admin = t.admin().await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    let last = noon() + TimeDelta::days(90);
    let refused = reserve(&t, &ann, only, last + minutes(1), last + hours(1)).await;
    refused.problem(409, "too_far_ahead");
    assert!(detail(&refused).contains("90 days ahead"), "{}", refused.text);
    assert!(detail(&refused).contains("2026-11-20T12:01:00Z"), "{}", refused.text);
    reserve(&t, &ann, only, last, last + hours(1)).await.expect(201);
    let year = noon() + TimeDelta::days(365);
    reserve(&t, &admin, only, year, year + hours(1)).await.expect(201);
    reserve(&t, &admin, only, year + minutes(1), year + hours(2)).await.expect(400);
}

#[testkit::both_databases]
async fn three_no_shows_end_reserving_until_the_oldest_is_a_month_old(t: TestApp) {
    let (t, clock, ann) = start(t).await;
    let lot = t.lot(1).await;
    let only = spots(&t, lot).await[0];
    for day in 0..3 {
        an_hour(&t, &ann, only, noon() + TimeDelta::days(day)).await;
        clock.advance(TimeDelta::days(1));
        bookings::expire_no_shows(&t.app).await.unwrap();
    }
    let soon = t.app.clock.now() + hours(5);
    let refused = reserve(&t, &ann, only, soon, soon + hours(1)).await;
    refused.problem(409, "too_many_no_shows");
    assert!(detail(&refused).contains("2026-12-20T12:00:00Z"), "{}", refused.text);
    let stay = book(&t, &ann, lot).await.expect(201);
    t.release(&ann, stay.body["reservation"]["id"].as_i64().unwrap()).await.expect(200);
    clock.advance(TimeDelta::days(27));
    let now = t.app.clock.now();
    let again = an_hour(&t, &ann, only, now).await;
    occupy(&t, &ann, again).await.expect(200);
}

#[testkit::both_databases]
async fn confirmations_have_a_limit_and_bookings_do_not(t: TestApp) {
    let t = t.second_process(&[("MAX_CONFIRMATIONS_PER_HOUR", "2")]).await;
    let _worker = t.work();
    let ann = many_drivers(&t, "d", 1).await.pop().unwrap();
    let lot = t.lot(1).await;
    for _ in 0..4 {
        let stay = book(&t, &ann, lot).await.expect(201);
        let done =
            "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation' AND state NOT IN ('succeeded')";
        t.eventually("the confirmation is sent or skipped", || async {
            testkit::number(&t, done).await == 0
        })
        .await;
        t.release(&ann, stay.body["reservation"]["id"].as_i64().unwrap()).await.expect(200);
    }
    t.eventually("every bill is sent", || async {
        t.mails().iter().filter(|mail| mail.subject.contains("for parking at")).count() == 4
    })
    .await;
    assert_eq!(t.mails().iter().filter(|mail| mail.subject.contains("is booked")).count(), 2);
}

/// Whatever hostile drivers do, each of them keeps at most two spots from others: one is parked on, one is reserved.
#[testkit::both_databases]
async fn hostile_drivers_leave_every_other_spot_to_others(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.second_process(&LIMITS).await.at(clock.clone()).await;
    for (round, (slots, hostile)) in [(1, 1), (3, 1), (50, 1), (50, 3)].into_iter().enumerate() {
        let lot = t.lot(slots).await;
        let spots = spots(&t, lot).await;
        let enemies = many_drivers(&t, &format!("hostile{round}x"), hostile).await;
        let honest = many_drivers(&t, &format!("honest{round}x"), spots.len()).await;
        for turn in 0..3 {
            for enemy in &enemies {
                abuse(&t, enemy, lot, &spots, turn).await;
            }
            let answer = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
            let free = answer.body["lot"]["available_slots"].as_i64().unwrap();
            assert!(
                free >= slots - 2 * i64::try_from(hostile).unwrap(),
                "{slots} spots, {hostile} hostile: {free} free"
            );
            let mut stays = Vec::new();
            for driver in honest.iter().take(usize::try_from(free).unwrap()) {
                let stay = book(&t, driver, lot).await.expect(201);
                stays.push((driver, stay.body["reservation"]["id"].as_i64().unwrap()));
            }
            for (driver, stay) in stays {
                t.release(driver, stay).await.expect(200);
            }
            clock.advance(minutes(7));
        }
        t.is_sound().await;
    }
}

/// Everything that keeps spots from others, as often as the API allows it.
async fn abuse(t: &TestApp, who: &Driver, lot: i64, spots: &[i64], turn: i64) {
    let now = t.app.clock.now();
    for (n, spot) in spots.iter().enumerate().take(12) {
        let start = now + minutes(7 * i64::try_from(n).unwrap() + turn);
        reserve(t, who, *spot, start, start + minutes(1)).await;
        reserve(t, who, *spot, start + hours(24), start + hours(25)).await;
    }
    book(t, who, lot).await;
    let list = t.get(&format!("/users/{}/reservations?state=all", who.id), Some(who)).await;
    for one in list.body["reservations"].as_array().unwrap() {
        let id = one["id"].as_i64().unwrap();
        occupy(t, who, id).await;
        let window = serde_json::json!({ "leaving_time": now + hours(40) });
        t.patch(&format!("/reservations/{id}"), Some(who), window).await;
    }
    if turn % 2 == 1 {
        for one in list.body["reservations"].as_array().unwrap() {
            t.delete(&format!("/reservations/{}", one["id"]), Some(who)).await;
            t.release(who, one["id"].as_i64().unwrap()).await;
        }
    }
}
