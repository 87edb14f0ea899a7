//! Lots that shrink, grow and close while drivers use them.

use reqwest::Method;
use serde_json::json;
use testkit::{Driver, TestApp};

use crate::lots::{put, read, service};
use crate::support::{
    Client, at_once, change, content, many_drivers, number, plain, reserve, seconds, spots,
};

#[testkit::both_databases]
async fn shrinking_retires_free_spots_and_growing_revives(t: TestApp) {
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(5).await);
    let ids = spots(&t, lot).await;
    let asha_at_1 = t.book(&asha, lot).await;
    let from = t.app.clock.now() + seconds(3_600);
    reserve(&t, ravi.id, ids[3], from, from + seconds(3_600)).await.unwrap();
    for (slots, expected, free) in [
        (5, "+++++", 3),  // no change
        (4, "++++-", 2),  // the highest free one
        (2, "+--+-", 0),  // free ones before the reserved one
        (1, "+--~-", 0),  // a reserved one is retired later
        (2, "+--+-", 0),  // a retiring one comes back first
        (3, "++-+-", 1),  // then retired ones, the lowest first
        (6, "++++++", 4), // then a new one
        (1, "+--~--", 0),
        (8, "++++++++", 6),
        (7, "+++++++-", 5),
    ] {
        let answer = put(&t, &admin, lot, json!({ "number_of_slots": slots })).await.expect(200);
        assert_eq!(service(&t, lot).await, expected, "{slots}");
        assert_eq!(answer.body["lot"]["number_of_slots"], slots);
        assert_eq!(answer.body["lot"]["available_slots"], free, "{slots}");
        assert_eq!(answer.body["lot"], read(&t, lot).await);
        let listed = t.get(&format!("/parking-lots/{lot}/available-spots"), None).await.expect(200);
        assert_eq!(listed.body["count"], free);
    }
    assert_eq!(number(&t, "SELECT MAX(number) AS n FROM spots").await, 8);
    t.release(&asha, asha_at_1).await.expect(200);
}

#[testkit::both_databases]
async fn occupied_spot_retires_when_its_session_ends(t: TestApp) {
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(2).await);
    let (first, second) = (t.book(&asha, lot).await, t.book(&ravi, lot).await);
    let ids = spots(&t, lot).await;
    put(&t, &admin, lot, json!({ "number_of_slots": 1 })).await.expect(200);
    let path = format!("/parking-spots/{}", ids[1]);
    assert_eq!(t.get(&path, Some(&admin)).await.expect(200).body["spot"]["status"], "occupied");
    assert_eq!(shared::parking::lots::finish_retirements(&t.app).await.unwrap(), 0);
    t.release(&ravi, second).await.expect(200);
    // Out of service at once, before any update of the row.
    t.get(&path, Some(&admin)).await.problem(404, "not_found");
    assert_eq!(read(&t, lot).await["available_slots"], 0);
    let answer = t.post("/booking/book-spot", Some(&ravi), json!({ "lot_id": lot })).await;
    answer.problem(409, "lot_full");
    assert_eq!(service(&t, lot).await, "+~");
    assert_eq!(shared::parking::lots::finish_retirements(&t.app).await.unwrap(), 1);
    assert_eq!(shared::parking::lots::finish_retirements(&t.app).await.unwrap(), 0);
    assert_eq!(service(&t, lot).await, "+-");
    t.release(&asha, first).await.expect(200);
    assert_eq!(read(&t, lot).await["available_slots"], 1);
}

const LIVE: &str =
    "EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id AND r.state IN ('reserved', 'active'))";

#[testkit::both_databases]
async fn retiring_spots_are_not_booked(t: TestApp) {
    let (admin, client) = (t.admin().await, Client::of(&t.url("")));
    for (round, sizes) in [vec![10], vec![12, 30, 5], vec![1, 40, 20, 8]].into_iter().enumerate() {
        let lot = t.lot(25).await;
        let drivers = many_drivers(&t, &format!("round{round}-"), 30).await;
        let resize = sizes.into_iter().map(|slots| {
            (
                Method::PUT,
                format!("/parking-lots/{lot}"),
                admin.token.clone(),
                json!({ "number_of_slots": slots }),
            )
        });
        let book = drivers.iter().map(|driver| {
            (Method::POST, "/booking/book-spot".to_owned(), driver.token.clone(), json!({ "lot_id": lot }))
        });
        let (resize, book): (Vec<_>, Vec<_>) = (resize.collect(), book.collect());
        let half = book.len() / 2;
        let calls = [&book[..half], &resize, &book[half..]].concat().into_iter();
        let answers = at_once(calls.map(|(method, path, token, body)| {
            let client = client.clone();
            async move { client.call(method, &path, &token, Some(body)).await }
        }))
        .await;
        let booked = answers.iter().filter(|(status, _)| *status == 201).count();
        for (status, body) in &answers {
            let full = *status == 409 && body["code"] == "lot_full";
            assert!(status.is_success() || full, "{status} {body}");
        }
        let of = |what: &str| format!("SELECT COUNT(*) AS n FROM spots s WHERE s.lot_id = {lot} AND {what}");
        let ever = number(
            &t,
            &of("s.retired_at IS NOT NULL AND EXISTS (SELECT 1 FROM reservations r WHERE r.spot_id = s.id)"),
        )
        .await;
        assert_eq!(ever, 0, "a spot out of service was booked");
        assert_eq!(number(&t, &of(LIVE)).await, i64::try_from(booked).unwrap());
        let in_service = number(&t, &of("s.retired_at IS NULL AND NOT s.retiring")).await;
        let free = number(&t, &of(&format!("s.retired_at IS NULL AND NOT s.retiring AND NOT {LIVE}"))).await;
        let now = read(&t, lot).await;
        assert_eq!((&now["number_of_slots"], &now["available_slots"]), (&json!(in_service), &json!(free)));
        assert_eq!(
            number(&t, &of("s.retiring")).await,
            number(&t, &of(&format!("s.retiring AND {LIVE}"))).await
        );
    }
    t.is_sound().await;
}

/// Defect 16: a lot in use cannot be deleted, and a used one keeps its name in the history.
#[testkit::both_databases]
async fn lot_in_use_cannot_be_deleted_used_one_is_archived(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    let path = format!("/parking-lots/{lot}");
    let parked = t.book(&asha, lot).await;
    let ids = spots(&t, lot).await;
    let before = content(&t).await;
    t.delete(&path, Some(&admin)).await.problem(409, "lot_in_use");
    assert_eq!(content(&t).await, before);
    t.release(&asha, parked).await.expect(200);
    let from = t.app.clock.now() + seconds(3_600);
    let window = reserve(&t, asha.id, ids[0], from, from + seconds(3_600)).await.unwrap();
    t.delete(&path, Some(&admin)).await.problem(409, "lot_in_use");
    change(&t, "UPDATE reservations SET state = 'cancelled' WHERE id = $1", [window.into()]).await.unwrap();
    assert_eq!(plain(&t.delete(&path, Some(&admin)).await.expect(200)), json!({}));
    for gone in [path.clone(), format!("{path}/available-spots"), format!("/parking-spots/{}", ids[0])] {
        t.get(&gone, Some(&admin)).await.problem(404, "not_found");
    }
    t.delete(&path, Some(&admin)).await.problem(404, "not_found");
    put(&t, &admin, lot, json!({ "number_of_slots": 9 })).await.problem(404, "not_found");
    t.put(
        &format!("/parking-spots/{}", ids[0]),
        Some(&admin),
        json!({ "status": "occupied", "user_id": asha.id }),
    )
    .await
    .problem(404, "not_found");
    t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.problem(404, "not_found");
    assert_eq!(t.get("/parking-spots", Some(&admin)).await.expect(200).body["spots"], json!([]));
    let history = t.get(&format!("/users/{}/reservations", asha.id), Some(&asha)).await.expect(200);
    assert_eq!(history.body["reservations"][0]["lot_name"], "Main Street");
    // Ids are not reused, so old references never point to new rows.
    let new = t.lot(2).await;
    assert!(new > lot && spots(&t, new).await[0] > ids[1]);
    t.book(&asha, new).await;
}

#[testkit::both_databases]
async fn racing_delete_and_booking_has_one_winner(t: TestApp) {
    let (admin, client) = (t.admin().await, Client::of(&t.url("")));
    let drivers = many_drivers(&t, "driver", 20).await;
    for pair in drivers.chunks(2) {
        let lot = t.lot(2).await;
        let book = |driver: &Driver| {
            (
                Method::POST,
                "/booking/book-spot".to_owned(),
                driver.token.clone(),
                Some(json!({ "lot_id": lot })),
            )
        };
        let delete = (Method::DELETE, format!("/parking-lots/{lot}"), admin.token.clone(), None);
        let answers = at_once([book(&pair[0]), delete, book(&pair[1])].map(|(method, path, token, body)| {
            let client = client.clone();
            async move { client.call(method, &path, &token, body).await }
        }))
        .await;
        let statuses: Vec<_> = answers.iter().map(|(status, _)| status.as_u16()).collect();
        let booked = statuses.contains(&201);
        assert_eq!(statuses[1], if booked { 409 } else { 200 }, "{answers:?}");
        assert!([0, 2].iter().all(|i| [201, 404, 409].contains(&statuses[*i])), "{answers:?}");
    }
    let lost = "SELECT COUNT(*) AS n FROM reservations r JOIN lots l ON l.id = r.lot_id WHERE l.archived_at IS NOT NULL";
    assert_eq!(number(&t, lost).await, 0);
    t.is_sound().await;
}
