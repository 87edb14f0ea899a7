//! A user's own data: getting all of it, and deleting the account.

use std::io::{Cursor, Read};

use serde_json::{Value, json};
use testkit::{Driver, PASSWORD, TestApp};
use zip::ZipArchive;

use crate::support::has;

/// Requests the archive and waits for it.
async fn archive(t: &TestApp, who: &Driver) -> Vec<u8> {
    let id = t.post("/users/me/export", Some(who), json!({})).await.expect(202).body["task_id"].clone();
    let id = id.as_str().unwrap().to_owned();
    let status = async || t.get(&format!("/export/csv/status/{id}"), Some(who)).await.expect(200).body;
    t.eventually("the archive is ready", async || status().await["export"]["status"] == "completed").await;
    has(&status().await["export"], &json!({ "format": "zip" }));
    let request = t.request(reqwest::Method::GET, &format!("/export/download/{id}"), Some(who));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/zip");
    answer.bytes().await.unwrap().to_vec()
}

fn text(zip: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str) -> String {
    let mut text = String::new();
    zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[testkit::both_databases]
async fn an_archive_has_all_data_of_its_owner_only(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let lot = t.lot(2).await;
    t.post(&format!("/users/{}/vehicles", asha.id), Some(&asha), json!({ "plate": "MH 12 AB 1" }))
        .await
        .expect(201);
    let (mine, his) = (t.book(&asha, lot).await, t.book(&ravi, lot).await);
    t.release(&asha, mine).await.expect(200);
    let asha = t.log_in(&asha.email).await;
    let worker = t.work();
    let mut zip = ZipArchive::new(Cursor::new(archive(&t, &asha).await)).unwrap();
    worker.stop().await;

    let all: Value = serde_json::from_str(&text(&mut zip, "data.json")).unwrap();
    assert_eq!(all["account"][0]["email"], "asha@example.com");
    assert_eq!(all["vehicles"][0]["plate"], "MH 12 AB 1");
    assert_eq!(all["reservations"].as_array().unwrap().len(), 1);
    has(&all["payments"][0], &json!({ "id": mine, "cost_minor": 2550, "payment_state": "unpaid" }));
    assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
    assert!(all["audit"].to_string().contains("own_data_exported") && all["currency"].is_string());
    for secret in ["argon2", "ravi", "Ravi", "_key", "hash"] {
        assert!(!all.to_string().contains(secret), "{secret}");
    }
    let csv = text(&mut zip, "reservations.csv");
    let (header, row) = csv.split_once('\n').unwrap();
    assert!(header.starts_with("id,lot_id,spot_id,state,plate,starts_at"), "{header}");
    assert!(row.starts_with(&format!("{mine},{lot},")) && !row.starts_with(&his.to_string()), "{row}");
    let mut names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.sort_unstable();
    let expected = [
        "README.txt",
        "account.csv",
        "activity.csv",
        "audit.csv",
        "data.json",
        "messages.csv",
        "payments.csv",
        "reservations.csv",
        "sessions.csv",
        "vehicles.csv",
    ];
    assert_eq!(names, expected);
}

#[testkit::both_databases]
async fn users_delete_their_own_account_with_their_password(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let delete = async |path: &str, who: &Driver, body: Value| {
        t.send(t.request(reqwest::Method::DELETE, path, Some(who)).json(&body)).await
    };
    let right = || json!({ "current_password": PASSWORD });
    t.delete("/users/me", Some(&asha)).await.problem(403, "current_password_required");
    let wrong = json!({ "current_password": "Wrong-horse-7" });
    delete("/users/me", &asha, wrong).await.problem(403, "wrong_current_password");
    delete(&format!("/users/{}", ravi.id), &asha, right()).await.problem(403, "forbidden");
    delete("/users/me", &admin, right()).await.problem(403, "forbidden");
    t.delete(&format!("/users/{}", admin.id), Some(&admin)).await.problem(403, "forbidden");
    delete("/users/me", &asha, right()).await.expect(200);
    t.get("/users/me", Some(&asha)).await.problem(401, "unauthenticated");
    let path = format!("/admin/audit?action=user_deleted&object_kind=user&object_id={}", asha.id);
    let rows = t.get(&path, Some(&admin)).await.expect(200).body["rows"].clone();
    has(&rows[0], &json!({ "actor_id": asha.id, "object_id": asha.id }));
    delete(&format!("/users/{}", ravi.id), &ravi, right()).await.expect(200);
}
