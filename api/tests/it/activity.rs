//! The activity log, as users and administrators see it.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Answer, TestApp};

use crate::support::{change, many_drivers, noon, plain, spots};

fn kinds(answer: &Answer) -> Vec<&str> {
    let rows = answer.body["activities"].as_array().expect("activities").iter();
    rows.map(|row| row["kind"].as_str().expect("a kind")).collect()
}

#[testkit::both_databases]
async fn activity_lists_every_action_newest_first(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let lot = t.lot(2).await;
    let spot = spots(&t, lot).await[1];
    let asha = t.driver("Asha").await;
    let minute = || clock.advance(TimeDelta::minutes(1));
    minute();
    let booked = t.book(&asha, lot).await;
    minute();
    t.release(&asha, booked).await.expect(200);
    minute();
    let window = json!({ "spot_id": spot, "parking_time": "2026-11-21T12:00:00Z", "leaving_time": "2026-11-21T13:00:00Z" });
    let reserved =
        t.post("/reservations", Some(&asha), window).await.expect(201).body["reservation"]["id"].clone();
    minute();
    t.delete(&format!("/reservations/{reserved}"), Some(&asha)).await.expect(200);
    minute();
    let export =
        t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202).body["job_id"].clone();
    minute();
    let asha = t.log_in(&asha.email).await;

    let answer = t.get("/user/activity", Some(&asha)).await.expect(200);
    let of = |kind: &str, subject: Value, minute: i64| json!({ "kind": kind, "subject": subject, "created_at": format!("2026-11-20T12:0{minute}:00Z") });
    let mut body = plain(&answer);
    let ids: Vec<_> = body["activities"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .map(|row| row.as_object_mut().unwrap().remove("id").unwrap().as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    assert_eq!(
        body,
        json!({
            "last_login": "2026-11-20T12:06:00Z",
            "last_booking": "2026-11-20T12:03:00Z",
            "activities": [
                of("login", json!(null), 6),
                of("export", export, 5),
                of("cancellation", json!(reserved.to_string()), 4),
                of("booking", json!(reserved.to_string()), 3),
                of("release", json!(booked.to_string()), 2),
                of("booking", json!(booked.to_string()), 1),
                of("login", json!(null), 0),
            ],
        })
    );
}

#[testkit::both_databases]
async fn sent_mails_appear_in_activity(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    t.eventually("the welcome mail is recorded", async || {
        kinds(&t.get("/user/activity", Some(&asha)).await.expect(200)).contains(&"notification")
    })
    .await;
    let answer = t.get("/user/activity", Some(&asha)).await.expect(200);
    assert_eq!(kinds(&answer), ["notification", "login"]);
    assert_eq!(answer.body["activities"][0]["subject"], "welcome");
    assert_eq!(answer.body["last_booking"], Value::Null);
}

#[testkit::both_databases]
async fn activity_is_paged(t: TestApp) {
    let asha = many_drivers(&t, "asha", 1).await.remove(0);
    for n in 0..7 {
        let insert =
            "INSERT INTO user_activity (user_id, kind, subject, created_at) VALUES ($1, 'release', $2, $3)";
        let values = [asha.id.into(), n.to_string().into(), shared::platform::db::at(noon())];
        change(&t, insert, values).await.unwrap();
    }
    let mut path = "/user/activity?limit=3".to_owned();
    let mut subjects = Vec::new();
    for part in [3, 3, 1] {
        let answer = t.get(&path, Some(&asha)).await.expect(200);
        let rows = answer.body["activities"].as_array().unwrap();
        assert_eq!(rows.len(), part);
        subjects.extend(rows.iter().map(|row| row["subject"].as_str().unwrap().to_owned()));
        match answer.headers.get("link") {
            Some(link) => {
                let link = link.to_str().unwrap();
                path =
                    link.strip_prefix("</api").unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
            }
            None => assert_eq!(part, 1, "the last page has no link"),
        }
    }
    assert_eq!(subjects, ["6", "5", "4", "3", "2", "1", "0"]);
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=x", "user_id=x", "user_id=1.5"] {
        t.get(&format!("/user/activity?{wrong}"), Some(&asha)).await.problem(400, "invalid");
    }
}

#[testkit::both_databases]
async fn foreign_activity_is_admin_only(t: TestApp) {
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let lot = t.lot(1).await;
    t.book(&ravi, lot).await;
    let his = format!("/user/activity?user_id={}", ravi.id);
    t.get(&his, None).await.problem(401, "unauthenticated");
    t.get(&his, Some(&asha)).await.problem(403, "forbidden");
    t.get("/user/activity?user_id=999999", Some(&asha)).await.problem(403, "forbidden");
    t.get("/user/activity?user_id=999999", Some(&admin)).await.problem(404, "not_found");
    let own = t.get("/user/activity", Some(&ravi)).await.expect(200);
    assert_eq!(kinds(&own), ["booking", "login"]);
    assert_eq!(t.get(&his, Some(&admin)).await.expect(200).body, own.body);
    assert_eq!(t.get(&his, Some(&ravi)).await.expect(200).body, own.body);
    assert_eq!(kinds(&t.get("/user/activity", Some(&admin)).await.expect(200)), ["login"]);
    t.send(t.request(Method::POST, "/user/activity", Some(&asha))).await.problem(405, "method_not_allowed");
}
