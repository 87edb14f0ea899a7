//! Bills of completed stays, line by line.

use chrono::TimeDelta;
use serde_json::json;
use shared::base::clock::Clock;
use testkit::{TestApp, change};

use crate::{
    payments::unpaid,
    support::{has, noon},
};

#[testkit::both_databases]
async fn a_bill_names_the_rule_behind_each_line(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    let id = t.book(&asha, lot).await;
    let path = format!("/reservations/{id}/bill");
    t.get(&path, Some(&asha)).await.problem(409, "wrong_state");
    clock.advance(TimeDelta::minutes(121));
    let cost = t.release(&asha, id).await.expect(200).body["reservation"]["cost"].clone();
    let bill = t.get(&path, Some(&asha)).await.expect(200).body;
    has(
        &bill["bill"],
        &json!({ "reservation_id": id, "total": 76.5, "lines": [{ "rule": "line", "name": "Hourly rate",
            "from": "2026-11-20T12:00:00Z", "until": "2026-11-20T14:01:00Z", "quantity": 3, "amount": 76.5 }] }),
    );
    assert_eq!(bill["bill"]["total"], cost);
    assert_eq!(t.get(&path, Some(&admin)).await.expect(200).body, bill);
    t.get(&path, Some(&ravi)).await.problem(404, "not_found");
    t.is_sound().await;
}

/// An upgrade rounds rates and bills that the currency cannot express, each for itself.
#[testkit::both_databases]
async fn a_bill_says_what_an_upgrade_rounded(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let id = unpaid(&t, &asha, lot).await;
    change(&t, "UPDATE reservations SET cost_minor = cost_minor - 1", []).await.unwrap();
    let bill = t.get(&format!("/reservations/{id}/bill"), Some(&asha)).await.expect(200).body;
    has(
        &bill["bill"],
        &json!({ "total": 25.49, "lines": [{ "rule": "line", "amount": 25.5 },
            { "rule": "rounding", "from": null, "until": null, "amount": -0.01 }] }),
    );
}
