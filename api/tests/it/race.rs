//! Concurrent requests of many drivers through two API processes.

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use devstack::Process;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::platform::db::at;
use testkit::{Driver, Processes, TestApp};
use tokio::sync::Barrier;

use crate::{
    sizes::{Size, size},
    support::{Client, at_once, change, many_drivers, number, reserve, spots},
};

const SPOTS: i64 = 20;

pub(crate) async fn two_processes(t: &TestApp) -> ([Process; 2], [Client; 2]) {
    let processes = Processes::of(t, &[]);
    let ((one, first), (two, second)) = tokio::join!(processes.api(), processes.api());
    ([one, two], [Client::of(&first), Client::of(&second)])
}

/// Sends all bodies at the same moment, alternating between the processes. Returns the answers in order.
pub(crate) async fn post_at_once(
    clients: &[Client; 2],
    path: &'static str,
    calls: Vec<(Driver, Value)>,
) -> Vec<(StatusCode, Value)> {
    let start = Arc::new(Barrier::new(calls.len()));
    at_once(calls.into_iter().enumerate().map(|(i, (driver, body))| {
        let (client, start) = (clients[i % 2].clone(), start.clone());
        async move {
            start.wait().await;
            client.post(path, &driver.token, body).await
        }
    }))
    .await
}

pub(crate) fn tally(answers: &[(StatusCode, Value)]) -> BTreeMap<(u16, String), usize> {
    answers.iter().fold(BTreeMap::new(), |mut tally, (status, body)| {
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        *tally.entry((status.as_u16(), code)).or_default() += 1;
        tally
    })
}

#[testkit::both_databases]
async fn racing_drivers_get_exactly_the_available_spots(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(SPOTS).await;
    let count = size(Size::Drivers) as usize;
    let drivers = many_drivers(&t, "driver", count).await;

    let calls = drivers.iter().map(|driver| (driver.clone(), json!({ "lot_id": lot }))).collect();
    let answers = post_at_once(&clients, "/booking/book-spot", calls).await;
    let expected = BTreeMap::from([((201, String::new()), 20), ((409, "lot_full".to_owned()), count - 20)]);
    assert_eq!(tally(&answers), expected);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, SPOTS);
    assert_eq!(
        number(&t, "SELECT COUNT(DISTINCT spot_id) AS n FROM reservations WHERE state = 'active'").await,
        SPOTS
    );
    assert_eq!(
        number(&t, "SELECT COUNT(DISTINCT user_id) AS n FROM reservations WHERE state = 'active'").await,
        SPOTS
    );
    for client in &clients {
        let (_, body) = client.get(&format!("/parking-lots/{lot}"), "").await;
        assert_eq!(body["lot"]["available_slots"], 0);
    }

    let parked: Vec<_> = drivers
        .iter()
        .zip(&answers)
        .filter(|(_, (status, _))| *status == 201)
        .map(|(driver, (_, body))| (driver, body["reservation"]["id"].as_i64().unwrap()))
        .collect();
    // Each bill is requested from both processes.
    let calls = parked.iter().flat_map(|(driver, id)| {
        let body =
            json!({ "reservation_id": id, "transaction_id": format!("TXN{id}"), "payment_method": "card" });
        [((*driver).clone(), body.clone()), ((*driver).clone(), body)]
    });
    let bills = post_at_once(&clients, "/booking/release-spot", calls.collect()).await;
    assert_eq!(tally(&bills), BTreeMap::from([((200, String::new()), 40)]));
    for pair in bills.chunks(2) {
        assert_eq!(pair[0].1, pair[1].1);
    }
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'completed' AND cost_minor = 2550")
            .await,
        SPOTS
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, SPOTS);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation'").await, SPOTS);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM user_activity WHERE kind = 'release'").await, SPOTS);
    let (_, body) = clients[0].get(&format!("/parking-lots/{lot}"), "").await;
    assert_eq!(body["lot"]["available_slots"], SPOTS);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn a_driver_booking_in_parallel_gets_one_spot(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lots = [t.lot(10).await, t.lot(10).await];
    let asha = many_drivers(&t, "asha", 1).await.remove(0);
    let calls = (0..20).map(|i| (asha.clone(), json!({ "lot_id": lots[i % 3 % 2] }))).collect();
    let answers = post_at_once(&clients, "/booking/book-spot", calls).await;
    let expected = BTreeMap::from([((201, String::new()), 1), ((409, "already_parked".to_owned()), 19)]);
    assert_eq!(tally(&answers), expected);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 1);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn concurrent_releases_record_one_payment(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(1).await;
    let asha = many_drivers(&t, "asha", 1).await.remove(0);
    let id = t.book(&asha, lot).await;
    let pay = |i| (asha.clone(), json!({ "reservation_id": id, "transaction_id": format!("TXN{i}") }));
    let answers = post_at_once(&clients, "/booking/release-spot", (0..10).map(pay).collect()).await;
    let expected = BTreeMap::from([((200, String::new()), 1), ((409, "paid_otherwise".to_owned()), 9)]);
    assert_eq!(tally(&answers), expected);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, 1);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn racing_arrivals_and_walk_ins_never_share_a_spot(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(10).await;
    let now = t.app.clock.now();
    let drivers = many_drivers(&t, "driver", 30).await;
    let spots = spots(&t, lot).await;
    // Five spots are overstayed: their sessions should have ended a minute ago, and other drivers have reserved them
    // from now on.
    let mut arrivals = Vec::new();
    for i in 0..5 {
        let window = (now - TimeDelta::hours(1), now - TimeDelta::minutes(1));
        let id = reserve(&t, drivers[i].id, spots[i], window.0, window.1).await.unwrap();
        let arrive = "UPDATE reservations SET state = 'active', arrived_at = starts_at WHERE id = $1";
        change(&t, arrive, [id.into()]).await.unwrap();
        let next = (window.1, now + TimeDelta::hours(1));
        let id = reserve(&t, drivers[5 + i].id, spots[i], next.0, next.1).await.unwrap();
        arrivals.push((drivers[5 + i].clone(), json!({ "reservation_id": id })));
    }
    let walk_ins = drivers[10..].iter().map(|driver| (driver.clone(), json!({ "lot_id": lot }))).collect();
    let (arrived, walked) = tokio::join!(
        post_at_once(&clients, "/booking/occupy-spot", arrivals),
        post_at_once(&clients, "/booking/book-spot", walk_ins),
    );
    let answers = [arrived, walked].concat();
    let good = answers.iter().filter(|(status, _)| status.is_success()).count();
    assert_eq!(good, 5, "five spots were free: {:?}", tally(&answers));
    assert!(answers.iter().all(|(status, _)| status.is_success() || *status == 409), "{:?}", tally(&answers));
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'active'").await, 10);
    assert_eq!(
        number(&t, "SELECT COUNT(DISTINCT spot_id) AS n FROM reservations WHERE state = 'active'").await,
        10
    );
    t.is_sound().await;
}

/// When a spot changes hands, the new session begins after the previous one has ended.
#[testkit::both_databases]
async fn back_to_back_sessions_never_overlap(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(3).await;
    let drivers = many_drivers(&t, "driver", 16).await;
    let stays = drivers.into_iter().enumerate().map(|(i, driver)| {
        let client = clients[i % clients.len()].clone();
        async move {
            for _ in 0..12 {
                let (status, body) =
                    client.post("/booking/book-spot", &driver.token, json!({ "lot_id": lot })).await;
                if status == 201 {
                    let paid = json!({ "reservation_id": body["reservation"]["id"] });
                    let (status, body) = client.post("/booking/release-spot", &driver.token, paid).await;
                    assert_eq!(status, 200, "{body}");
                } else {
                    assert_eq!(status, 409, "{body}");
                }
            }
        }
    });
    at_once(stays).await;
    assert!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await > 20);
    t.is_sound().await;
}

/// Six windows begin while cars without a reservation are on their spots. Drivers without one, and new windows, leave
/// a free spot for each of them.
#[testkit::both_databases]
async fn racing_walk_ins_leave_spots_for_punctual_drivers(t: TestApp) {
    const DISPLACED: usize = 6;
    const PARKED: usize = 12;
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(SPOTS).await;
    let spots = spots(&t, lot).await;
    let now = t.app.clock.now();
    let count = PARKED + DISPLACED + size(Size::DriversInLine) as usize;
    let drivers = many_drivers(&t, "driver", count).await;
    let (parked, drivers) = drivers.split_at(PARKED);
    let (punctual, others) = drivers.split_at(DISPLACED);
    let long_ago = now - TimeDelta::hours(5);
    for (driver, spot) in parked.iter().zip(&spots) {
        let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, created_at)
            VALUES ($1, $2, $3, 'active', $4, $4, 100, $4)";
        change(&t, text, [driver.id.into(), lot.into(), (*spot).into(), at(long_ago)]).await.unwrap();
    }
    let mut arrivals = Vec::new();
    for (driver, spot) in punctual.iter().zip(&spots) {
        let (from, to) = (now - TimeDelta::minutes(1), now + TimeDelta::hours(1));
        let id = reserve(&t, driver.id, *spot, from, to).await.unwrap();
        arrivals.push((driver.clone(), json!({ "reservation_id": id })));
    }
    let (windows, walk_ins) = others.split_at(others.len() / 6);
    let soon = json!({
        "lot_id": lot, "parking_time": now + TimeDelta::minutes(10), "leaving_time": now + TimeDelta::minutes(70),
    });
    let walk_ins = walk_ins.iter().map(|driver| (driver.clone(), json!({ "lot_id": lot }))).collect();
    let windows = windows.iter().map(|driver| (driver.clone(), soon.clone())).collect();
    let (walked, reserved, arrived) = tokio::join!(
        post_at_once(&clients, "/booking/book-spot", walk_ins),
        post_at_once(&clients, "/reservations", windows),
        post_at_once(&clients, "/booking/occupy-spot", arrivals),
    );
    assert_eq!(
        tally(&arrived),
        BTreeMap::from([((200, String::new()), DISPLACED)]),
        "every punctual driver parks"
    );
    let admitted = walked.iter().chain(&reserved).filter(|(status, _)| *status == 201).count();
    assert_eq!(admitted, 2, "{:?} {:?}", tally(&walked), tally(&reserved));
    assert!(walked.iter().chain(&reserved).all(|(status, _)| *status == 201 || *status == 409));
    t.is_sound().await;
}
