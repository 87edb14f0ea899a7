//! Concurrent reservations, arrivals, cancellations and no-shows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, future::BoxFuture};
use reqwest::{Method, StatusCode};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use shared::{
    base::{clock::Clock, time::rfc3339},
    parking::bookings,
    platform::db::sql,
};
use testkit::{Driver, Engine, TestApp};
use tokio::sync::Barrier;

use crate::{
    race::{post_at_once, tally, two_processes},
    support::{Client, at_once, many_drivers, noon, number, reserve, spots},
};

type Call = BoxFuture<'static, (StatusCode, Value)>;

fn post(client: &Client, path: &'static str, who: &Driver, body: Value) -> Call {
    let (client, token) = (client.clone(), who.token.clone());
    async move { client.post(path, &token, body).await }.boxed()
}

fn cancel(client: &Client, who: &Driver, id: i64) -> Call {
    let (client, token) = (client.clone(), who.token.clone());
    async move { client.call(Method::DELETE, &format!("/reservations/{id}"), &token, None).await }.boxed()
}

fn occupy(client: &Client, who: &Driver, id: i64) -> Call {
    post(client, "/booking/occupy-spot", who, json!({ "reservation_id": id }))
}

fn window(spot: i64, from: DateTime<Utc>, until: DateTime<Utc>) -> Value {
    json!({ "spot_id": spot, "parking_time": rfc3339(from), "leaving_time": rfc3339(until) })
}

/// Runs all calls at the same moment.
async fn race(calls: Vec<Call>) -> Vec<(StatusCode, Value)> {
    let start = Arc::new(Barrier::new(calls.len()));
    at_once(calls.into_iter().map(|call| {
        let start = start.clone();
        async move {
            start.wait().await;
            call.await
        }
    }))
    .await
}

/// Defect 6.
#[testkit::both_databases]
async fn racing_for_a_window_has_one_winner(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(2).await;
    let spots = spots(&t, lot).await;
    let drivers = many_drivers(&t, "driver", 60).await;
    let begin = t.app.clock.now() + TimeDelta::hours(1);
    // One-hour windows that begin within the same half hour, so that all windows on a spot overlap.
    let calls = (0..).zip(&drivers).map(|(i, driver)| {
        let begin = begin + TimeDelta::minutes(i % 30);
        (driver.clone(), window(spots[usize::try_from(i % 2).unwrap()], begin, begin + TimeDelta::hours(1)))
    });
    let answers = post_at_once(&clients, "/reservations", calls.collect()).await;
    let expected = BTreeMap::from([((201, String::new()), 2), ((409, "spot_taken".to_owned()), 58)]);
    assert_eq!(tally(&answers), expected);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 2);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation'").await, 2);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn racing_windows_and_walk_ins_never_share_a_spot(t: TestApp) {
    let (_processes, clients) = two_processes(&t).await;
    let lot = t.lot(8).await;
    let spots = spots(&t, lot).await;
    let drivers = many_drivers(&t, "driver", 48).await;
    let begin = t.app.clock.now() + TimeDelta::minutes(1);
    let windows =
        (0..24).map(|i| (drivers[i].clone(), window(spots[i % 8], begin, begin + TimeDelta::hours(1))));
    let walk_ins = drivers[24..].iter().map(|driver| (driver.clone(), json!({ "lot_id": lot })));
    let (reserved, walked) = tokio::join!(
        post_at_once(&clients, "/reservations", windows.collect()),
        post_at_once(&clients, "/booking/book-spot", walk_ins.collect()),
    );
    let answers = [reserved, walked].concat();
    let made = tally(&answers)[&(201, String::new())];
    assert_eq!(made, 8, "each spot is reserved once: {:?}", tally(&answers));
    assert!(answers.iter().all(|(status, _)| *status == 201 || *status == 409), "{:?}", tally(&answers));
    assert_eq!(number(&t, "SELECT COUNT(DISTINCT spot_id) AS n FROM reservations").await, 8);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn racing_cancel_and_arrival_has_one_winner(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let client = Client::of(&t.url(""));
    let lot = t.lot(15).await;
    let drivers = many_drivers(&t, "driver", 15).await;
    let (mut calls, mut ids) = (Vec::new(), Vec::new());
    for (driver, spot) in drivers.iter().zip(spots(&t, lot).await) {
        let id = reserve(&t, driver.id, spot, noon(), noon() + TimeDelta::hours(1)).await.unwrap();
        ids.push(id);
        calls.extend([
            cancel(&client, driver, id),
            occupy(&client, driver, id),
            cancel(&client, driver, id),
            occupy(&client, driver, id),
        ]);
    }
    let answers = race(calls).await;
    for (id, four) in ids.iter().zip(answers.chunks(4)) {
        let statuses: Vec<_> = four.iter().map(|(status, _)| status.as_u16()).collect();
        let state =
            crate::support::text(&t, &format!("SELECT state AS t FROM reservations WHERE id = {id}")).await;
        match state.as_str() {
            "cancelled" => assert_eq!(statuses, [200, 409, 200, 409]),
            "active" => {
                assert!(statuses == [409, 200, 409, 409] || statuses == [409, 409, 409, 200], "{statuses:?}")
            }
            other => panic!("{other}: {statuses:?}"),
        }
    }
    let cancelled = number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'cancelled'").await;
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM user_activity WHERE kind = 'cancellation'").await,
        cancelled
    );
}

#[testkit::both_databases]
async fn racing_arrival_and_expiry_has_one_winner(t: TestApp) {
    let last = noon() + TimeDelta::minutes(30);
    let (t, late) =
        (t.at(Clock::fixed(last)).await, t.at(Clock::fixed(last + TimeDelta::microseconds(1))).await);
    let client = Client::of(&t.url(""));
    let lot = t.lot(30).await;
    let drivers = many_drivers(&t, "driver", 30).await;
    let (mut arrivals, mut sweeps): (Vec<Call>, Vec<Call>) = (Vec::new(), Vec::new());
    for (driver, spot) in drivers.iter().zip(spots(&t, lot).await) {
        let id = reserve(&t, driver.id, spot, noon(), noon() + TimeDelta::hours(1)).await.unwrap();
        arrivals.push(occupy(&client, driver, id));
    }
    for delay in [0, 2, 5, 10] {
        let app = late.app.clone();
        sweeps.push(
            async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                (
                    StatusCode::OK,
                    json!({ "ended": bookings::expire_no_shows(&app).await.expect("the sweep succeeds") }),
                )
            }
            .boxed(),
        );
    }
    let answers = race(sweeps.into_iter().chain(arrivals).collect()).await;
    let ended: u64 = answers[..4].iter().map(|(_, body)| body["ended"].as_u64().unwrap()).sum();
    let arrived = answers[4..].iter().filter(|(status, _)| *status == 200).count();
    let too_late = answers[4..].iter().filter(|(_, body)| body["code"] == "expired").count();
    assert_eq!(arrived + too_late, 30, "{:?}", tally(&answers[4..]));
    let of = async |state: &str| {
        number(&t, &format!("SELECT COUNT(*) AS n FROM reservations WHERE state = '{state}'")).await
    };
    assert_eq!(of("active").await, i64::try_from(arrived).unwrap());
    assert_eq!(
        (of("expired").await, ended),
        (i64::try_from(too_late).unwrap(), u64::try_from(too_late).unwrap())
    );
}

#[testkit::both_databases]
async fn spots_of_no_shows_go_to_as_many_others(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let client = Client::of(&t.url(""));
    for round in 0..5 {
        let lot = t.lot(6).await;
        let drivers = many_drivers(&t, &format!("round{round}driver"), 8).await;
        for spot in spots(&t, lot).await {
            reserve(&t, drivers[0].id, spot, clock.now(), clock.now() + TimeDelta::hours(9)).await.unwrap();
        }
        clock.advance(TimeDelta::minutes(31));
        let book = |driver: &Driver| post(&client, "/booking/book-spot", driver, json!({ "lot_id": lot }));
        let answers = race(drivers.iter().map(book).collect()).await;
        let expected = BTreeMap::from([((201, String::new()), 6), ((409, "lot_full".to_owned()), 2)]);
        assert_eq!(tally(&answers), expected);
    }
}

#[testkit::both_databases]
async fn mixed_load_on_few_spots_never_returns_5xx(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let late = t.at(Clock::fixed(noon() + TimeDelta::minutes(31))).await;
    let clients = [Client::of(&t.url("")), Client::of(&late.url(""))];
    let lot = t.lot(3).await;
    let spots = spots(&t, lot).await;
    let drivers = many_drivers(&t, "driver", 12).await;
    for round in 0..12_usize {
        let first = number(&t, "SELECT COALESCE(MAX(id), 0) AS n FROM reservations").await;
        let calls = (0..60_usize).map(|i| {
            let (driver, client) = (&drivers[(i * 7 + round) % 12], &clients[(i / 3) % 2]);
            let id = first - i64::try_from(i % 9).unwrap() + 4;
            let begin = noon() + TimeDelta::minutes(i64::try_from(31 + i % 3 * 20).unwrap());
            match i % 6 {
                0 | 1 => post(
                    client,
                    "/reservations",
                    driver,
                    window(spots[i % 3], begin, begin + TimeDelta::minutes(40)),
                ),
                2 => post(client, "/booking/book-spot", driver, json!({ "lot_id": lot })),
                3 => occupy(client, driver, id),
                4 => cancel(client, driver, id),
                _ => post(client, "/booking/release-spot", driver, json!({ "reservation_id": id })),
            }
        });
        let answers = race(calls.collect()).await;
        assert!(answers.iter().all(|(status, _)| status.as_u16() < 500), "{:?}", tally(&answers));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocked_release_is_retried() {
    let t = TestApp::start(Engine::Postgres).await;
    let lot = t.lot(1).await;
    let asha = many_drivers(&t, "asha", 1).await.remove(0);
    let id = t.book(&asha, lot).await;
    let tx = t.app.db.begin().await.unwrap();
    // The release locks the reservation and then the user; this transaction locks them in the opposite order.
    let lock = async |table: &str, id: i64| {
        let text = format!("SELECT 1 FROM {table} WHERE id = $1 FOR UPDATE");
        tx.execute_raw(sql(&tx, &text, [id.into()])).await.unwrap();
    };
    lock("users", asha.id).await;
    let client = Client::of(&t.url(""));
    let release =
        tokio::spawn(post(&client, "/booking/release-spot", &asha, json!({ "reservation_id": id })));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!release.is_finished(), "the release waits for the user's row");
    lock("reservations", id).await;
    tx.commit().await.unwrap();
    let (status, body) = release.await.unwrap();
    assert_eq!((status.as_u16(), &body["reservation"]["status"]), (200, &json!("completed")));
    let deadlocks = "SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()";
    t.eventually("the server has counted the deadlock", async || number(&t, deadlocks).await == 1).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, 1);
}
