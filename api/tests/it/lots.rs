//! Lots and their available spots: creation, changes and closing by administrators.

use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, Driver, TestApp};

use crate::{
    hostile::HOSTILE,
    support::{at_once, change, content, noon, number, plain, pointers, spots},
};

fn form() -> Value {
    json!({
        "location_name": "Main Street", "price": 25.5, "address": "1, Main Street",
        "pincode": "400001", "number_of_slots": 3,
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut form = form();
    form[field] = value;
    form
}

#[testkit::both_databases]
async fn new_lot_reads_back_as_created(t: TestApp) {
    let admin = t.admin().await;
    let created = plain(&t.post("/parking-lots", Some(&admin), form()).await.expect(201));
    let id = created["lot"]["id"].as_i64().expect("a number");
    assert_eq!(
        created,
        json!({ "lot": {
            "id": id, "location_name": "Main Street", "price": 25.5, "address": "1, Main Street",
            "pincode": "400001", "number_of_slots": 3, "available_slots": 3,
        }})
    );
    assert_eq!(plain(&t.get(&format!("/parking-lots/{id}"), None).await.expect(200)), created);
    let list = plain(&t.get("/parking-lots", None).await.expect(200));
    assert_eq!(list, json!({ "lots": [created["lot"]] }));
    let ids = spots(&t, id).await;
    let free = plain(&t.get(&format!("/parking-lots/{id}/available-spots"), None).await.expect(200));
    let expected: Vec<_> =
        (1..).zip(&ids).map(|(number, spot)| json!({ "id": spot, "spot_number": number, "lot_id": id, "status": "available" })).collect();
    assert_eq!(free, json!({ "lot_name": "Main Street", "available_spots": expected, "count": 3 }));
}

#[testkit::both_databases]
async fn lots_are_sorted_by_id(t: TestApp) {
    let mut ids = Vec::new();
    for slots in [3, 1, 2] {
        ids.push(t.lot(slots).await);
    }
    let list = t.get("/parking-lots", None).await.expect(200);
    let listed: Vec<_> =
        list.body["lots"].as_array().unwrap().iter().map(|lot| lot["id"].as_i64().unwrap()).collect();
    assert_eq!(listed, ids);
    assert!(ids.is_sorted());
}

#[testkit::both_databases]
async fn numbers_as_text_are_accepted_unknown_fields_ignored(t: TestApp) {
    let admin = t.admin().await;
    let mut body = form();
    for (field, value) in [
        ("price", json!(" 30.25 ")),
        ("number_of_slots", json!("2")),
        ("available_slots", json!(99)),
        ("id", json!(7_000)),
        ("location_name", json!("  Ring Road  ")),
        ("something", json!({ "else": [1] })),
    ] {
        body[field] = value;
    }
    let lot = t.post("/parking-lots", Some(&admin), body).await.expect(201).body["lot"].clone();
    assert_eq!(
        (&lot["price"], &lot["number_of_slots"], &lot["available_slots"]),
        (&json!(30.25), &json!(2), &json!(2))
    );
    assert_eq!(lot["location_name"], "Ring Road");
    assert_ne!(lot["id"], 7_000);
}

#[testkit::both_databases]
async fn lot_boundary_values_are_accepted(t: TestApp) {
    let admin = t.admin().await;
    for (field, value) in [
        ("price", json!(0)),
        ("price", json!("0")),
        ("price", json!(0.01)),
        ("price", json!(1_000_000)),
        ("number_of_slots", json!(1)),
        ("number_of_slots", json!(10_000)),
        ("location_name", json!("é".repeat(100))),
        ("address", json!("東".repeat(200))),
        ("pincode", json!("x".repeat(10))),
    ] {
        let answer = t.post("/parking-lots", Some(&admin), with(field, value.clone())).await.expect(201);
        assert!(
            value.is_string() && field == "price" || answer.body["lot"][field].as_f64() == value.as_f64()
        );
    }
    let spots = number(&t, "SELECT COUNT(*) AS n FROM spots").await;
    assert_eq!(spots, number(&t, "SELECT CAST(SUM(number_of_slots) AS BIGINT) AS n FROM lots").await);
}

#[testkit::both_databases]
async fn every_wrong_field_of_a_lot_is_named(t: TestApp) {
    let admin = t.admin().await;
    for (field, value) in [
        ("price", json!(-1)),
        ("price", json!("-0.01")),
        ("price", json!(0.001)),
        ("price", json!("NaN")),
        ("price", json!("inf")),
        ("price", json!("cheap")),
        ("price", json!("")),
        ("price", json!(null)),
        ("price", json!([1])),
        ("price", json!(true)),
        ("price", json!(1e300)),
        ("price", json!("0x10")),
        ("number_of_slots", json!(0)),
        ("number_of_slots", json!(-1)),
        ("number_of_slots", json!(10_001)),
        ("number_of_slots", json!(2.5)),
        ("number_of_slots", json!("2.5")),
        ("number_of_slots", json!("many")),
        ("number_of_slots", json!(null)),
        ("number_of_slots", json!(99_999_999_999_999_999_999_f64)),
        ("location_name", json!("")),
        ("location_name", json!("  ")),
        ("location_name", json!("x".repeat(101))),
        ("location_name", json!("a\u{0}b")),
        ("location_name", json!(7.5)),
        ("location_name", json!(null)),
        ("address", json!("")),
        ("address", json!("x".repeat(201))),
        ("address", json!("\u{0}")),
        ("address", json!([])),
        ("pincode", json!("")),
        ("pincode", json!("x".repeat(11))),
        ("pincode", json!(4e5)),
        ("pincode", json!("40\u{0}001")),
    ] {
        let answer = t.post("/parking-lots", Some(&admin), with(field, value.clone())).await;
        assert_eq!(pointers(&answer), [format!("/{field}")], "{field} {value}");
    }
    let several =
        json!({ "location_name": "", "price": 1, "address": "", "pincode": "", "number_of_slots": 0 });
    let answer = t.post("/parking-lots", Some(&admin), several).await;
    assert_eq!(pointers(&answer), ["/location_name", "/address", "/pincode", "/number_of_slots"]);
    assert_eq!(
        number(&t, "SELECT COUNT(*) AS n FROM lots").await
            + number(&t, "SELECT COUNT(*) AS n FROM spots").await,
        0
    );
}

#[testkit::both_databases]
async fn only_admins_create_lots(t: TestApp) {
    let asha = t.driver("Asha").await;
    t.post("/parking-lots", None, form()).await.problem(401, "unauthenticated");
    t.post("/parking-lots", Some(&asha), form()).await.problem(403, "forbidden");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await, 0);
}

#[testkit::both_databases]
async fn unknown_lots_are_not_found(t: TestApp) {
    let lot = t.lot(1).await;
    for id in ["0", "-1", "999999", "abc", "1.5", "1e0", "99999999999999999999", "%00", "%FF", "%2F"] {
        t.get(&format!("/parking-lots/{id}"), None).await.problem(404, "not_found");
        t.get(&format!("/parking-lots/{id}/available-spots"), None).await.problem(404, "not_found");
    }
    change(&t, "UPDATE lots SET archived_at = created_at WHERE id = $1", [lot.into()]).await.unwrap();
    t.get(&format!("/parking-lots/{lot}"), None).await.problem(404, "not_found");
    t.get(&format!("/parking-lots/{lot}/available-spots"), None).await.problem(404, "not_found");
    assert_eq!(t.get("/parking-lots", None).await.expect(200).body["lots"], json!([]));
}

#[testkit::both_databases]
async fn retiring_spots_are_not_counted(t: TestApp) {
    let lot = t.lot(3).await;
    let ids = spots(&t, lot).await;
    change(&t, "UPDATE spots SET retiring = TRUE WHERE id = $1", [ids[0].into()]).await.unwrap();
    let free = t.get(&format!("/parking-lots/{lot}/available-spots"), None).await.expect(200);
    assert_eq!(free.body["count"], 2);
    assert_eq!(free.body["available_spots"][0]["id"], ids[1]);
    assert_eq!(t.get(&format!("/parking-lots/{lot}"), None).await.body["lot"]["available_slots"], 2);
    let asha = t.driver("Asha").await;
    let answer = t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.expect(201);
    assert_eq!(answer.body["reservation"]["spot_id"], ids[1]);
}

async fn put_if(t: &TestApp, who: &Driver, lot: i64, tags: &str, body: Value) -> Answer {
    let request = t.request(Method::PUT, &format!("/parking-lots/{lot}"), Some(who)).header("if-match", tags);
    t.send(request.json(&body)).await
}

pub(crate) async fn put(t: &TestApp, who: &Driver, lot: i64, body: Value) -> Answer {
    t.put(&format!("/parking-lots/{lot}"), Some(who), body).await
}

pub(crate) async fn read(t: &TestApp, lot: i64) -> Value {
    t.get(&format!("/parking-lots/{lot}"), None).await.expect(200).body["lot"].clone()
}

/// The state of each spot of a lot, by number: in service (`+`), retiring (`~`) or retired (`-`).
pub(crate) async fn service(t: &TestApp, lot: i64) -> String {
    let mut text = String::new();
    for spot in spots(t, lot).await {
        let of = |state: &str| format!("SELECT COUNT(*) AS n FROM spots WHERE id = {spot} AND {state}");
        let retired = number(t, &of("retired_at IS NOT NULL")).await == 1;
        let retiring = number(t, &of("retired_at IS NULL AND retiring")).await == 1;
        text.push(if retired {
            '-'
        } else if retiring {
            '~'
        } else {
            '+'
        });
    }
    text
}

#[testkit::both_databases]
async fn creating_a_lot_is_idempotent(t: TestApp) {
    let admin = t.admin().await;
    let create = async |body: Value| {
        let request =
            t.request(Method::POST, "/parking-lots", Some(&admin)).header("idempotency-key", "lot-1");
        t.send(request.json(&body)).await
    };
    let (first, again) = (create(form()).await.expect(201), create(form()).await.expect(201));
    assert_eq!(first.body, again.body);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let id = first.body["lot"]["id"].as_i64().unwrap();
    for answer in [&first, &again] {
        assert_eq!(answer.headers["etag"], format!("\"{id}-1-3\""));
        assert_eq!(answer.headers["location"], format!("/api/parking-lots/{id}"));
    }
    create(with("price", json!(1))).await.problem(422, "idempotency_key_reused");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await, 1);
}

/// Defect 30.
#[testkit::both_databases]
async fn lot_and_spots_are_created_atomically(t: TestApp) {
    let admin = t.admin().await;
    change(&t, "CREATE UNIQUE INDEX only_one_spot_a_lot ON spots (lot_id)", []).await.unwrap();
    t.post("/parking-lots", Some(&admin), form()).await.problem(500, "internal");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await, 0);
    t.post("/parking-lots", Some(&admin), with("number_of_slots", json!(1))).await.expect(201);
    let lot = read(&t, number(&t, "SELECT id AS n FROM lots").await).await["id"].as_i64().unwrap();
    let before = content(&t).await;
    put(&t, &admin, lot, json!({ "price": 99, "number_of_slots": 2 })).await.problem(500, "internal");
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn each_lot_field_can_be_changed_alone(t: TestApp) {
    let (admin, lot) = (t.admin().await, t.lot(3).await);
    let mut expected = read(&t, lot).await;
    for (version, (field, sent, stored)) in [
        ("location_name", json!(" Ring Road "), json!("Ring Road")),
        ("price", json!("30.25"), json!(30.25)),
        ("price", json!(0), json!(0.0)),
        ("address", json!("2, Ring Road"), json!("2, Ring Road")),
        ("pincode", json!("400002"), json!("400002")),
        ("number_of_slots", json!(" 4 "), json!(4)),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = put(&t, &admin, lot, json!({ field: sent })).await.expect(200);
        expected[field] = stored;
        expected["available_slots"] = expected["number_of_slots"].clone();
        assert_eq!(plain(&answer), json!({ "lot": expected, "retiring_slots": 0 }));
        let tag = format!("\"{lot}-{}-{}\"", version + 2, expected["available_slots"]);
        assert_eq!(answer.headers["etag"], tag);
        let got = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
        assert_eq!((&got.body["lot"], &got.headers["etag"]), (&expected, &answer.headers["etag"]));
    }
    put(&t, &admin, lot, json!({})).await.expect(200);
    assert_eq!(read(&t, lot).await, expected);
}

/// Defects 29 and mass assignment: the old client sends back the whole lot as it was when the form was opened.
#[testkit::both_databases]
async fn stale_form_does_not_overwrite_counts(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    let mut stale = read(&t, lot).await;
    t.book(&asha, lot).await;
    stale["price"] = json!(40);
    let answer = put(&t, &admin, lot, stale.clone()).await.expect(200);
    assert_eq!(
        (&answer.body["lot"]["available_slots"], &answer.body["lot"]["price"]),
        (&json!(1), &json!(40.0))
    );
    for (field, value) in [
        ("available_slots", json!(99)),
        ("available_slots", json!(-1)),
        ("available_slots", json!("none")),
        ("id", json!(7_000)),
        ("id", json!(null)),
        ("version", json!(70)),
        ("archived_at", json!("2026-01-01T00:00:00Z")),
        ("created_at", json!(0)),
        ("price_minor", json!(1)),
        ("something", json!({ "else": [1] })),
    ] {
        let answer = put(&t, &admin, lot, json!({ field: value })).await.expect(200);
        assert_eq!(answer.body["lot"], read(&t, lot).await);
        let kept = ["id", "price", "number_of_slots", "available_slots"]
            .map(|field| answer.body["lot"][field].clone());
        assert_eq!(kept, [json!(lot), json!(40.0), json!(2), json!(1)], "{field}");
    }
    assert_eq!(number(&t, "SELECT version AS n FROM lots").await, 12);
    assert_eq!(number(&t, "SELECT price_minor AS n FROM lots").await, 4000);
}

/// Nginx weakens the tags of what it compresses; others append the coding.
#[testkit::both_databases]
async fn if_match_works_behind_compressing_proxies(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(2).await);
    for (price, form) in (40..).zip(["W/\"T\"", "\"T-gzip\"", "\"T;gzip\"", "\"T--gzip\"", "W/\"T-br\""]) {
        let read = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
        let tag = form.replace('T', read.headers["etag"].to_str().unwrap().trim_matches('"'));
        // The number of free spots does not count.
        let reservation = t.book(&asha, lot).await;
        put_if(&t, &admin, lot, &tag, json!({ "price": price })).await.expect(200);
        put_if(&t, &admin, lot, &tag, json!({ "price": 1 })).await.problem(412, "changed");
        t.release(&asha, reservation).await.expect(200);
    }
    assert_eq!(number(&t, "SELECT price_minor AS n FROM lots").await, 4400);
}

#[testkit::both_databases]
async fn if_match_guards_lot_changes(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let (lot, other) = (t.lot(2).await, t.lot(2).await);
    let tag = async |lot: i64| {
        let got = t.get(&format!("/parking-lots/{lot}"), None).await.expect(200);
        got.headers["etag"].to_str().unwrap().to_owned()
    };
    let (old, others) = (tag(lot).await, tag(other).await);
    // A booking is made meanwhile and must not be overwritten.
    t.book(&asha, lot).await;
    assert_ne!(tag(lot).await, old);
    put_if(&t, &admin, lot, &old, json!({ "price": 30 })).await.expect(200);
    let before = content(&t).await;
    for tags in [old.as_str(), &others, "\"\"", "nonsense", ""] {
        put_if(&t, &admin, lot, tags, json!({ "price": 31 })).await.problem(412, "changed");
    }
    assert_eq!(content(&t).await, before);
    let list = format!("{others}, {}", tag(lot).await);
    assert_eq!(
        put_if(&t, &admin, lot, &list, json!({ "price": 32 })).await.expect(200).body["lot"]["price"],
        32.0
    );
    assert_eq!(
        put_if(&t, &admin, lot, "*", json!({ "price": 33 })).await.expect(200).body["lot"]["price"],
        33.0
    );
    put_if(&t, &admin, 999_999, "*", json!({ "price": 33 })).await.problem(404, "not_found");
    // Of two writers that read the same version, one succeeds.
    let (http, tags) = (reqwest::Client::new(), tag(lot).await);
    let answers = at_once((0..8).map(|price| {
        let request = http
            .put(t.url(&format!("/parking-lots/{lot}")))
            .bearer_auth(&admin.token)
            .header("if-match", &tags);
        let request = request.json(&json!({ "price": 100 + price }));
        async move { request.send().await.unwrap().status().as_u16() }
    }))
    .await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 412).count(), 7, "{answers:?}");
    t.is_sound().await;
}

/// Defect 50, and the negative numbers of defect 30.
#[testkit::both_databases]
async fn rejected_lot_change_has_no_effect(t: TestApp) {
    let (admin, asha, lot) = (t.admin().await, t.driver("Asha").await, t.lot(3).await);
    let before = content(&t).await;
    for (field, value) in [
        ("price", json!(-1)),
        ("price", json!("-0.01")),
        ("price", json!(0.001)),
        ("price", json!("NaN")),
        ("price", json!("cheap")),
        ("price", json!(null)),
        ("price", json!([1])),
        ("price", json!(true)),
        ("price", json!(1e300)),
        ("number_of_slots", json!(0)),
        ("number_of_slots", json!(-1)),
        ("number_of_slots", json!(10_001)),
        ("number_of_slots", json!(2.5)),
        ("number_of_slots", json!("many")),
        ("number_of_slots", json!(null)),
        ("location_name", json!("")),
        ("location_name", json!(" ")),
        ("location_name", json!("x".repeat(101))),
        ("location_name", json!(7.5)),
        ("location_name", json!(null)),
        ("location_name", json!("a\u{0}b")),
        ("address", json!("x".repeat(201))),
        ("address", json!([])),
        ("pincode", json!("x".repeat(11))),
        ("pincode", json!(4e5)),
        ("pincode", json!("\u{0}")),
    ] {
        let mut body = json!({ "location_name": "New", "address": "New", "pincode": "1", "price": 1, "number_of_slots": 1 });
        body[field] = value.clone();
        assert_eq!(pointers(&put(&t, &admin, lot, body).await), [format!("/{field}")], "{field} {value}");
    }
    let several = json!({ "location_name": "", "address": "", "pincode": "", "number_of_slots": 0 });
    assert_eq!(
        pointers(&put(&t, &admin, lot, several).await),
        ["/location_name", "/address", "/pincode", "/number_of_slots"]
    );
    let path = format!("/parking-lots/{lot}");
    t.put(&path, None, form()).await.problem(401, "unauthenticated");
    t.put(&path, Some(&asha), form()).await.problem(403, "forbidden");
    t.delete(&path, None).await.problem(401, "unauthenticated");
    t.delete(&path, Some(&asha)).await.problem(403, "forbidden");
    put(&t, &admin, 999_999, form()).await.problem(404, "not_found");
    t.delete("/parking-lots/999999", Some(&admin)).await.problem(404, "not_found");
    assert_eq!(content(&t).await, before);
}

#[testkit::both_databases]
async fn new_price_applies_to_new_sessions(t: TestApp) {
    let t = t.at(Clock::fixed(noon())).await;
    let (admin, asha, ravi, lot) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.lot(2).await);
    let early = t.book(&asha, lot).await;
    put(&t, &admin, lot, json!({ "price": 100 })).await.expect(200);
    let late = t.book(&ravi, lot).await;
    assert_eq!(t.release(&asha, early).await.expect(200).body["reservation"]["parking_cost"], 25.5);
    assert_eq!(t.release(&ravi, late).await.expect(200).body["reservation"]["parking_cost"], 100.0);
}

/// Defect 48.
#[testkit::both_databases]
async fn lot_list_is_paged(t: TestApp) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(t.lot(1).await);
    }
    let (mut path, mut seen) = ("/parking-lots?limit=2".to_owned(), Vec::new());
    loop {
        let part = t.get(&path, None).await.expect(200);
        let lots = part.body["lots"].as_array().unwrap();
        assert!(lots.len() <= 2);
        seen.extend(lots.iter().map(|lot| lot["id"].as_i64().unwrap()));
        let Some(link) = part.headers.get("link") else { break };
        let link = link.to_str().unwrap().strip_prefix("</api").unwrap();
        link.strip_suffix(">; rel=\"next\"").unwrap().clone_into(&mut path);
    }
    assert_eq!(seen, ids);
    assert!(t.get("/parking-lots", None).await.expect(200).headers.get("link").is_none());
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=x"] {
        t.get(&format!("/parking-lots?{wrong}"), None).await.problem(400, "invalid");
    }
}

#[testkit::both_databases]
async fn lot_texts_round_trip(t: TestApp) {
    let (admin, lot) = (t.admin().await, t.lot(1).await);
    for text in HOSTILE {
        let code: String = text.chars().take(10).collect();
        let texts = json!({ "location_name": text, "address": text, "pincode": code.trim() });
        let mut form = form();
        form.as_object_mut().unwrap().extend(texts.as_object().unwrap().clone());
        let created = t.post("/parking-lots", Some(&admin), form).await.expect(201).body["lot"].clone();
        let changed = put(&t, &admin, lot, texts.clone()).await.expect(200).body["lot"].clone();
        let ids = [created["id"].as_i64().unwrap(), lot];
        for (answered, id) in [created, changed].into_iter().zip(ids) {
            let read = read(&t, id).await;
            for field in ["location_name", "address", "pincode"] {
                assert_eq!((&answered[field], &read[field]), (&texts[field], &texts[field]), "{text:?}");
            }
        }
    }
    let list = t.get("/parking-lots", None).await.expect(200);
    let names: Vec<_> = list.body["lots"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|lot| lot["location_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, HOSTILE);
}
