//! Lots and their free spots.

use serde_json::{Value, json};

use crate::support::{change, number, plain, pointers, spots};

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

testkit::on_both! {
    async fn a_new_lot_is_read_back_as_it_was_created(t: TestApp) {
        let admin = t.admin().await;
        let created = plain(&t.post("/parking-lots", Some(&admin), form()).await.expect(201));
        let id = created["lot"]["id"].as_i64().expect("a number");
        assert_eq!(created, json!({ "lot": {
            "id": id, "location_name": "Main Street", "price": 25.5, "address": "1, Main Street",
            "pincode": "400001", "number_of_slots": 3, "available_slots": 3,
        }}));
        assert_eq!(plain(&t.get(&format!("/parking-lots/{id}"), None).await.expect(200)), created);
        let list = plain(&t.get("/parking-lots", None).await.expect(200));
        assert_eq!(list, json!({ "lots": [created["lot"]] }));
        let ids = spots(&t, id).await;
        let free = plain(&t.get(&format!("/parking-lots/{id}/available-spots"), None).await.expect(200));
        let expected: Vec<_> = ids.iter().map(|spot| json!({ "id": spot, "lot_id": id, "status": "available" })).collect();
        assert_eq!(free, json!({ "lot_name": "Main Street", "available_spots": expected, "count": 3 }));
    }
}

testkit::on_both! {
    async fn lots_come_in_the_order_of_their_ids(t: TestApp) {
        let mut ids = Vec::new();
        for slots in [3, 1, 2] {
            ids.push(t.lot(slots).await);
        }
        let list = t.get("/parking-lots", None).await.expect(200);
        let listed: Vec<_> = list.body["lots"].as_array().unwrap().iter().map(|lot| lot["id"].as_i64().unwrap()).collect();
        assert_eq!(listed, ids);
        assert!(ids.is_sorted());
    }
}

testkit::on_both! {
    async fn numbers_may_come_as_text_and_unknown_members_are_ignored(t: TestApp) {
        let admin = t.admin().await;
        let mut body = form();
        for (field, value) in [
            ("price", json!(" 30.25 ")), ("number_of_slots", json!("2")), ("available_slots", json!(99)),
            ("id", json!(7_000)), ("location_name", json!("  Ring Road  ")), ("something", json!({ "else": [1] })),
        ] {
            body[field] = value;
        }
        let lot = t.post("/parking-lots", Some(&admin), body).await.expect(201).body["lot"].clone();
        assert_eq!((&lot["price"], &lot["number_of_slots"], &lot["available_slots"]), (&json!(30.25), &json!(2), &json!(2)));
        assert_eq!(lot["location_name"], "Ring Road");
        assert_ne!(lot["id"], 7_000);
    }
}

testkit::on_both! {
    async fn the_extremes_are_accepted(t: TestApp) {
        let admin = t.admin().await;
        for (field, value) in [
            ("price", json!(0)), ("price", json!("0")), ("price", json!(0.01)), ("price", json!(1_000_000)),
            ("number_of_slots", json!(1)), ("number_of_slots", json!(10_000)),
            ("location_name", json!("é".repeat(100))), ("address", json!("東".repeat(200))), ("pincode", json!("x".repeat(10))),
        ] {
            let answer = t.post("/parking-lots", Some(&admin), with(field, value.clone())).await.expect(201);
            assert!(value.is_string() && field == "price" || answer.body["lot"][field].as_f64() == value.as_f64());
        }
        let spots = number(&t, "SELECT COUNT(*) AS n FROM spots").await;
        assert_eq!(spots, number(&t, "SELECT CAST(SUM(number_of_slots) AS BIGINT) AS n FROM lots").await);
    }
}

testkit::on_both! {
    async fn every_wrong_field_of_a_lot_is_named(t: TestApp) {
        let admin = t.admin().await;
        for (field, value) in [
            ("price", json!(-1)), ("price", json!("-0.01")), ("price", json!(0.001)), ("price", json!("NaN")),
            ("price", json!("inf")), ("price", json!("cheap")), ("price", json!("")), ("price", json!(null)),
            ("price", json!([1])), ("price", json!(true)), ("price", json!(1e300)), ("price", json!("0x10")),
            ("number_of_slots", json!(0)), ("number_of_slots", json!(-1)), ("number_of_slots", json!(10_001)),
            ("number_of_slots", json!(2.5)), ("number_of_slots", json!("2.5")), ("number_of_slots", json!("many")),
            ("number_of_slots", json!(null)), ("number_of_slots", json!(99_999_999_999_999_999_999_f64)),
            ("location_name", json!("")), ("location_name", json!("  ")), ("location_name", json!("x".repeat(101))),
            ("location_name", json!("a\u{0}b")), ("location_name", json!(7)), ("location_name", json!(null)),
            ("address", json!("")), ("address", json!("x".repeat(201))), ("address", json!("\u{0}")),
            ("address", json!([])), ("pincode", json!("")), ("pincode", json!("x".repeat(11))),
            ("pincode", json!(400_001)), ("pincode", json!("40\u{0}001")),
        ] {
            let answer = t.post("/parking-lots", Some(&admin), with(field, value.clone())).await;
            assert_eq!(pointers(&answer), [format!("/{field}")], "{field} {value}");
        }
        let several = json!({ "location_name": "", "price": 1, "address": "", "pincode": "", "number_of_slots": 0 });
        let answer = t.post("/parking-lots", Some(&admin), several).await;
        assert_eq!(pointers(&answer), ["/location_name", "/address", "/pincode", "/number_of_slots"]);
        assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await + number(&t, "SELECT COUNT(*) AS n FROM spots").await, 0);
    }
}

testkit::on_both! {
    async fn only_administrators_open_lots(t: TestApp) {
        let asha = t.driver("Asha").await;
        t.post("/parking-lots", None, form()).await.problem(401, "unauthenticated");
        t.post("/parking-lots", Some(&asha), form()).await.problem(403, "forbidden");
        assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM lots").await, 0);
    }
}

testkit::on_both! {
    async fn what_is_no_lot_is_not_found(t: TestApp) {
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
}

testkit::on_both! {
    async fn a_retiring_spot_is_neither_free_nor_counted(t: TestApp) {
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
}
