//! Sessions that somebody with access to Redis has written there.

use chrono::TimeDelta;
use redis::AsyncCommands;
use serde_json::{Value, json};
use shared::base::clock::Clock;
use testkit::{Driver, TestApp};
use uuid::Uuid;

use crate::support::noon;

/// A MAC in hexadecimal digits stands before the JSON.
const MAC_LENGTH: usize = 64;

/// The key of a driver's only session in Redis.
async fn key(t: &TestApp, who: &Driver) -> String {
    let sessions = t.get("/auth/sessions", Some(who)).await.expect(200).body;
    let id: Uuid = sessions["sessions"][0]["id"].as_str().unwrap().parse().unwrap();
    t.app.redis.keys().session(id)
}

async fn read(t: &TestApp, key: &str) -> String {
    t.app.redis.query(async |mut redis| redis.get(key).await).await.unwrap()
}

async fn write(t: &TestApp, key: &str, value: &str) {
    let written: redis::RedisResult<()> =
        t.app.redis.query(async |mut redis| redis.set_ex(key, value, 60).await).await;
    written.unwrap();
}

#[testkit::both_databases]
async fn forged_sessions_in_redis_are_not_believed(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let (admin_key, asha_key) = (key(&t, &admin).await, key(&t, &asha).await);
    let (of_admin, own) = (read(&t, &admin_key).await, read(&t, &asha_key).await);
    let (mac, json) = own.split_at(MAC_LENGTH);
    let session: Value = serde_json::from_str(json).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut session = session.clone();
        *session.pointer_mut(pointer).unwrap() = value;
        session.to_string()
    };
    let is_admin = changed("/identity/is_admin", json!(true));
    let (other_json, zeros) = (&of_admin[MAC_LENGTH..], "0".repeat(MAC_LENGTH));
    for (what, forged) in [
        ("no MAC", is_admin.clone()),
        ("a role", format!("{mac}{is_admin}")),
        ("another role", format!("{mac}{}", changed("/identity/is_attendant", json!(true)))),
        ("a user", format!("{mac}{}", changed("/identity/user_id", json!(admin.id)))),
        ("a session", format!("{mac}{}", changed("/identity/session_id", json!(Uuid::nil())))),
        ("a later time", format!("{mac}{}", changed("/seen_at", json!("2099-01-01T00:00:00Z")))),
        ("a MAC of zeros", format!("{zeros}{is_admin}")),
        ("half a MAC", format!("{}{is_admin}", &mac[1..])),
        ("nothing but a MAC", mac.to_owned()),
        ("a letter that is cut in two", "ä".repeat(40)),
        ("the session of an administrator", of_admin.clone()),
        ("an administrator below one's own MAC", format!("{mac}{other_json}")),
    ] {
        for path in ["/users", "/attendant/lots"] {
            write(&t, &asha_key, &forged).await;
            let answer = t.get(path, Some(&asha)).await;
            assert_eq!(answer.status, 403, "{what}: {}", answer.text);
        }
    }
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    clock.advance(TimeDelta::seconds(2));
    write(&t, &asha_key, &own).await;
    t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
    clock.advance(TimeDelta::seconds(-3));
    write(&t, &asha_key, &own).await;
    t.get("/auth/sessions", Some(&asha)).await.problem(401, "unauthenticated");
}
