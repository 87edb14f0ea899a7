//! Spots as administrators see and change them.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, TestApp};

use crate::support::{
    Client, at_once, change, content, many_drivers, noon, number, plain, reserve, seconds, spots,
};

async fn put(t: &TestApp, admin: &Driver, spot: i64, body: Value) -> Answer {
    t.put(&format!("/parking-spots/{spot}"), Some(admin), body).await
}

async fn read(t: &TestApp, admin: &Driver, spot: i64) -> Value {
    t.get(&format!("/parking-spots/{spot}"), Some(admin)).await.expect(200).body["spot"].clone()
}

async fn available(t: &TestApp, lot: i64) -> Value {
    t.get(&format!("/parking-lots/{lot}"), None).await.expect(200).body["lot"]["available_slots"].clone()
}

#[testkit::both_databases]
async fn spots_show_current_and_next_driver(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(4).await);
    let ids = spots(&t, lot).await;
    t.book(&asha, lot).await;
    let after = |hours: i64| noon() + TimeDelta::hours(hours);
    // The later window is inserted first; windows that are over or cancelled do not count.
    for (from, until, state) in
        [(5, 6, "reserved"), (1, 2, "reserved"), (0, 1, "cancelled"), (-3, -2, "expired")]
    {
        let id = reserve(&t, ravi.id, ids[1], after(from), after(until)).await.unwrap();
        change(&t, "UPDATE reservations SET state = $2 WHERE id = $1", [id.into(), state.into()])
            .await
            .unwrap();
    }
    change(
        &t,
        "UPDATE spots SET retired_at = $2 WHERE id = $1",
        [ids[3].into(), shared::platform::db::at(noon())],
    )
    .await
    .unwrap();
    let expected = json!([
        { "id": ids[0], "spot_number": 1, "lot_id": lot, "user_id": asha.id, "status": "occupied", "booking_time": "2026-11-20T12:00:00Z" },
        { "id": ids[1], "spot_number": 2, "lot_id": lot, "user_id": ravi.id, "status": "reserved", "booking_time": "2026-11-20T13:00:00Z" },
        { "id": ids[2], "spot_number": 3, "lot_id": lot, "user_id": null, "status": "available", "booking_time": null },
    ]);
    assert_eq!(plain(&t.get("/parking-spots", Some(&admin)).await.expect(200)), json!({ "spots": expected }));
    for spot in expected.as_array().unwrap() {
        let path = format!("/parking-spots/{}", spot["id"]);
        assert_eq!(plain(&t.get(&path, Some(&admin)).await.expect(200)), json!({ "spot": spot }));
    }
    t.get(&format!("/parking-spots/{}", ids[3]), Some(&admin)).await.problem(404, "not_found");
    // A running session comes before a window, even one that should have begun earlier.
    reserve(&t, asha.id, ids[2], after(-1), noon()).await.unwrap();
    let insert = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, hourly_rate_minor, created_at)
        VALUES ($1, $2, $3, 'active', $4, $5, $4, 0, $4)";
    let values = [
        ravi.id.into(),
        lot.into(),
        ids[2].into(),
        shared::platform::db::at(noon()),
        shared::platform::db::at(after(1)),
    ];
    change(&t, insert, values).await.unwrap();
    let spot = read(&t, &admin, ids[2]).await;
    assert_eq!((&spot["status"], &spot["user_id"]), (&json!("occupied"), &json!(ravi.id)));
}

#[testkit::both_databases]
async fn spot_list_is_paged_and_skips_closed_lots(t: TestApp) {
    let admin = t.admin().await;
    let lots = [t.lot(3).await, t.lot(2).await, t.lot(3).await];
    t.delete(&format!("/parking-lots/{}", lots[1]), Some(&admin)).await.expect(200);
    let expected = [spots(&t, lots[0]).await, spots(&t, lots[2]).await].concat();
    let (mut path, mut seen) = ("/parking-spots?limit=4".to_owned(), Vec::new());
    loop {
        let part = t.get(&path, Some(&admin)).await.expect(200);
        seen.extend(part.body["spots"].as_array().unwrap().iter().map(|spot| spot["id"].as_i64().unwrap()));
        let Some(link) = part.headers.get("link") else { break };
        let link = link.to_str().unwrap().strip_prefix("</api").unwrap();
        link.strip_suffix(">; rel=\"next\"").unwrap().clone_into(&mut path);
    }
    assert_eq!(seen, expected);
    assert!(seen.is_sorted());
}

/// Defects 5 and 14.
#[testkit::both_databases]
async fn spot_administration_is_admin_only(t: TestApp) {
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let path = format!("/parking-spots/{}", spots(&t, lot).await[0]);
    let before = content(&t).await;
    let body = json!({ "status": "occupied", "user_id": asha.id });
    for path in ["/parking-spots", &path] {
        t.get(path, None).await.problem(401, "unauthenticated");
        t.get(path, Some(&asha)).await.problem(403, "forbidden");
    }
    t.put(&path, None, body.clone()).await.problem(401, "unauthenticated");
    t.put(&path, Some(&asha), body).await.problem(403, "forbidden");
    assert_eq!(content(&t).await, before);
}

/// Defect 5: marking a spot as occupied starts a complete session.
#[testkit::both_databases]
async fn attendant_starts_and_ends_a_session_for_a_driver(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(3).await);
    let spot = spots(&t, lot).await[1];
    let answer = put(&t, &admin, spot, json!({ "status": "occupied", "user_id": asha.id })).await.expect(200);
    let expected = json!({ "id": spot, "spot_number": 2, "lot_id": lot, "user_id": asha.id, "status": "occupied", "booking_time": "2026-11-20T12:00:00Z" });
    assert_eq!(plain(&answer), json!({ "spot": expected }));
    assert_eq!(read(&t, &admin, spot).await, expected);
    assert_eq!(available(&t, lot).await, 2);
    let mine = async || {
        let list = t.get(&format!("/users/{}/reservations", asha.id), Some(&asha)).await.expect(200);
        list.body["reservations"][0].clone()
    };
    let reservation = mine().await;
    assert_eq!(
        (&reservation["spot_id"], &reservation["status"], &reservation["lot_price"]),
        (&json!(spot), &json!("active"), &json!(25.5))
    );
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation'").await, 1);
    t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.problem(409, "already_parked");

    clock.advance(TimeDelta::minutes(61));
    for _ in 0..2 {
        let answer = put(&t, &admin, spot, json!({ "status": "available" })).await.expect(200);
        let expected = json!({ "id": spot, "spot_number": 2, "lot_id": lot, "user_id": null, "status": "available", "booking_time": null });
        assert_eq!(plain(&answer), json!({ "spot": expected }));
    }
    let bill = mine().await;
    assert_eq!(
        (&bill["status"], &bill["parking_cost"], &bill["transaction_id"]),
        (&json!("completed"), &json!(51.0), &json!(null))
    );
    assert_eq!(bill["leaving_time"], "2026-11-20T13:01:00Z");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, 1);
    assert_eq!(available(&t, lot).await, 3);

    // The driver may also leave in the usual way.
    put(&t, &admin, spot, json!({ "status": "occupied", "user_id": asha.id })).await.expect(200);
    let id = number(&t, "SELECT MAX(id) AS n FROM reservations").await;
    t.release(&asha, id).await.expect(200);
    assert_eq!(read(&t, &admin, spot).await["status"], "available");
}

#[testkit::both_databases]
async fn setting_a_spot_to_its_own_state_is_a_no_op(t: TestApp) {
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(3).await);
    let ids = spots(&t, lot).await;
    t.book(&asha, lot).await;
    let from = t.app.clock.now() + seconds(3_600);
    reserve(&t, ravi.id, ids[1], from, from + seconds(60)).await.unwrap();
    let before = content(&t).await;
    for (spot, body) in [
        (0, json!({})),
        (0, json!({ "status": "occupied" })),
        (0, json!({ "user_id": asha.id })),
        (0, json!({ "user_id": null })),
        (0, json!({ "status": "occupied", "user_id": asha.id, "lot_id": 7, "id": 7, "booking_time": "now" })),
        (1, json!({})),
        (1, json!({ "status": "reserved" })),
        (1, json!({ "status": "reserved", "user_id": ravi.id })),
        (2, json!({})),
        (2, json!({ "status": "available" })),
        (2, json!({ "status": "available", "user_id": null })),
    ] {
        let now = read(&t, &admin, ids[spot]).await;
        assert_eq!(put(&t, &admin, ids[spot], body.clone()).await.expect(200).body["spot"], now, "{body}");
    }
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn rejected_spot_changes_have_no_effect(t: TestApp) {
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(4).await);
    let (mina, gone) = (t.driver("Mina").await, t.driver("Gone").await);
    change(&t, "UPDATE users SET deleted_at = created_at WHERE id = $1", [gone.id.into()]).await.unwrap();
    let ids = spots(&t, lot).await;
    t.book(&asha, lot).await;
    let from = t.app.clock.now() + seconds(3_600);
    reserve(&t, ravi.id, ids[1], from, from + seconds(60)).await.unwrap();
    change(&t, "UPDATE spots SET retiring = TRUE WHERE id = $1", [ids[3].into()]).await.unwrap();
    let before = content(&t).await;
    let occupied = |who: i64| json!({ "status": "occupied", "user_id": who });
    for (spot, body, status, code) in [
        (0, occupied(ravi.id), 409, "spot_taken"),
        (1, occupied(mina.id), 409, "spot_reserved"),
        (1, occupied(ravi.id), 409, "spot_reserved"),
        (2, occupied(asha.id), 409, "already_parked"),
        (2, occupied(999_999), 404, "not_found"),
        (2, occupied(gone.id), 404, "not_found"),
        (3, occupied(mina.id), 404, "not_found"),
        (3, json!({}), 404, "not_found"),
        (2, json!({ "status": "occupied" }), 400, "invalid"),
        (2, json!({ "user_id": mina.id }), 400, "invalid"),
        (0, json!({ "user_id": mina.id }), 400, "invalid"),
        (0, json!({ "status": "available", "user_id": mina.id }), 400, "invalid"),
        (0, json!({ "status": "reserved", "user_id": mina.id }), 400, "invalid"),
        (0, json!({ "status": "reserved" }), 409, "needs_window"),
        (2, json!({ "status": "reserved" }), 409, "needs_window"),
        (1, json!({ "status": "available" }), 409, "spot_reserved"),
        (2, json!({ "status": "Available" }), 400, "invalid"),
        (2, json!({ "status": "broken" }), 400, "invalid"),
        (2, json!({ "status": "" }), 400, "invalid"),
        (2, json!({ "status": null }), 400, "invalid"),
        (2, json!({ "status": "occupied", "user_id": "7" }), 400, "invalid"),
    ] {
        eprintln!("{spot} {body}");
        put(&t, &admin, ids[spot], body).await.problem(status, code);
    }
    put(&t, &admin, 999_999, occupied(mina.id)).await.problem(404, "not_found");
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn session_on_a_retiring_spot_can_be_ended(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    let ids = spots(&t, lot).await;
    put(&t, &admin, ids[1], json!({ "status": "occupied", "user_id": asha.id })).await.expect(200);
    change(&t, "UPDATE spots SET retiring = TRUE WHERE id = $1", [ids[1].into()]).await.unwrap();
    let answer = put(&t, &admin, ids[1], json!({ "status": "available" })).await.expect(200);
    assert_eq!(
        (&answer.body["spot"]["status"], &answer.body["spot"]["user_id"]),
        (&json!("available"), &json!(null))
    );
    t.get(&format!("/parking-spots/{}", ids[1]), Some(&admin)).await.problem(404, "not_found");
    assert_eq!(available(&t, lot).await, 1);
}

#[testkit::both_databases]
async fn racing_attendants_and_drivers_never_share_a_spot(t: TestApp) {
    let (admin, lot, client) = (t.admin().await, t.lot(4).await, Client::of(&t.url("")));
    let drivers = many_drivers(&t, "driver", 24).await;
    let ids = spots(&t, lot).await;
    let calls = drivers.iter().enumerate().map(|(i, driver)| {
        if i % 2 == 0 {
            return (
                Method::POST,
                "/booking/book-spot".to_owned(),
                driver.token.clone(),
                json!({ "lot_id": lot }),
            );
        }
        let body = json!({ "status": "occupied", "user_id": driver.id });
        (Method::PUT, format!("/parking-spots/{}", ids[i % 4]), admin.token.clone(), body)
    });
    // Two attendants also try to put the same driver elsewhere.
    let calls: Vec<_> = calls.collect();
    let again = calls.iter().filter(|call| call.0 == Method::PUT).cloned().map(|mut call| {
        call.1 = format!("/parking-spots/{}", ids[0]);
        call
    });
    let again: Vec<_> = again.collect();
    let answers = at_once(calls.into_iter().chain(again).map(|(method, path, token, body)| {
        let client = client.clone();
        async move { client.call(method, &path, &token, Some(body)).await }
    }))
    .await;
    for (status, body) in &answers {
        let refused = *status == 409
            && ["spot_taken", "lot_full", "already_parked"].iter().any(|code| body["code"] == *code);
        assert!(status.is_success() || refused, "{status} {body}");
    }
    let active = number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'active'").await;
    assert_eq!(active, 4);
    assert_eq!(number(&t, "SELECT COUNT(DISTINCT spot_id) AS n FROM reservations").await, 4);
    assert_eq!(number(&t, "SELECT COUNT(DISTINCT user_id) AS n FROM reservations").await, 4);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation'").await, 4);
    assert_eq!(available(&t, lot).await, 0);
    // All attendants end every session: each is billed once.
    let ends = ids.iter().chain(&ids).chain(&ids).map(|id| {
        let (client, token, path) = (client.clone(), admin.token.clone(), format!("/parking-spots/{id}"));
        async move { client.call(Method::PUT, &path, &token, Some(json!({ "status": "available" }))).await }
    });
    for (status, body) in at_once(ends).await {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-receipt'").await, 4);
    assert_eq!(available(&t, lot).await, 4);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn no_shows_do_not_block_admins(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let (first, second) = (t.lot(1).await, t.lot(1).await);
    for lot in [first, second] {
        let window = (noon(), noon() + TimeDelta::hours(5));
        reserve(&t, asha.id, spots(&t, lot).await[0], window.0, window.1).await.unwrap();
    }
    let (admin_now, ravi_spot) = (&admin, spots(&t, first).await[0]);
    put(&t, admin_now, ravi_spot, json!({ "status": "occupied", "user_id": ravi.id }))
        .await
        .problem(409, "spot_reserved");
    t.delete(&format!("/parking-lots/{second}"), Some(admin_now)).await.problem(409, "lot_in_use");
    clock.advance(TimeDelta::minutes(31));
    put(&t, admin_now, ravi_spot, json!({ "status": "occupied", "user_id": ravi.id })).await.expect(200);
    t.delete(&format!("/parking-lots/{second}"), Some(admin_now)).await.expect(200);
}
