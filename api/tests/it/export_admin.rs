//! Exports as administrators see them, and the clean-up of expired files.

use std::{fs, path::PathBuf};

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::{base::clock::Clock, platform::db::at};
use testkit::{Answer, Driver, Processes, TestApp};
use uuid::Uuid;

use crate::support::{at_once, change, noon, number, plain};

const CLEANUP: &str = "/export/admin/cleanup";

async fn request(t: &TestApp, who: &Driver) -> Uuid {
    let answer = t.post("/export/csv/request", Some(who), json!({})).await.expect(202);
    answer.body["task_id"].as_str().unwrap().parse().unwrap()
}

async fn result(t: &TestApp, who: &Driver, id: &Value) -> Value {
    let path = format!("/tasks/{}", id.as_str().unwrap());
    t.eventually("the task succeeds", || async { t.get(&path, Some(who)).await.body["state"] == "SUCCESS" })
        .await;
    t.get(&path, Some(who)).await.body["result"].clone()
}

/// Runs the clean-up and returns the result of the task.
async fn clean_up(t: &TestApp, admin: &Driver) -> Value {
    let accepted = t.post(CLEANUP, Some(admin), json!({})).await.expect(202);
    result(t, admin, &accepted.body["task_id"]).await
}

async fn download(t: &TestApp, who: &Driver, id: Uuid) -> Answer {
    t.get(&format!("/export/download/{id}"), Some(who)).await
}

fn folder(t: &TestApp) -> PathBuf {
    t.folder().join("files")
}

/// The names of all files in the export folder, sorted.
fn names(t: &TestApp) -> Vec<String> {
    let entries = fs::read_dir(folder(t)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn write(t: &TestApp, names: impl IntoIterator<Item = String>) {
    for name in names {
        fs::write(folder(t).join(name), "12345").unwrap();
    }
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable();
    names
}

/// The names of an export's finished and partial file.
fn file_names(id: Uuid) -> [String; 2] {
    [format!("{id}.csv"), format!("{id}.{}.part", Uuid::new_v4())]
}

/// The ids in a list across all pages, and the size of each page.
async fn listed(t: &TestApp, path: &str, who: &Driver) -> (Vec<Uuid>, Vec<usize>) {
    let (mut path, mut ids, mut parts) = (path.to_owned(), Vec::new(), Vec::new());
    loop {
        let answer = t.get(&path, Some(who)).await.expect(200);
        let exports = answer.body["exports"].as_array().unwrap();
        ids.extend(exports.iter().map(|export| export["job_id"].as_str().unwrap().parse::<Uuid>().unwrap()));
        parts.push(exports.len());
        let Some(link) = answer.headers.get("link") else { return (ids, parts) };
        let link = link.to_str().unwrap();
        path = link.strip_prefix("</api").unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
}

#[testkit::both_databases]
async fn admins_see_all_exports_newest_first(t: TestApp) {
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    assert_eq!(listed(&t, "/export/admin/jobs", &admin).await, (vec![], vec![0]));
    let mut ids = Vec::new();
    for who in [&asha, &ravi, &admin, &asha, &ravi] {
        ids.insert(0, request(&t, who).await);
    }
    let all = plain(&t.get("/export/admin/jobs", Some(&admin)).await.expect(200));
    let owners: Vec<_> =
        all["exports"].as_array().unwrap().iter().map(|export| export["user_id"].as_i64().unwrap()).collect();
    assert_eq!(owners, [ravi.id, asha.id, admin.id, ravi.id, asha.id]);
    let mut alone =
        t.get(&format!("/export/csv/status/{}", ids[0]), Some(&ravi)).await.expect(200).body["export"]
            .clone();
    alone["user_id"] = ravi.id.into();
    assert_eq!(all["exports"][0], alone, "the owner's view plus the owner");

    assert_eq!(listed(&t, "/export/admin/jobs", &admin).await, (ids.clone(), vec![5]));
    assert_eq!(listed(&t, "/export/admin/jobs?limit=2", &admin).await, (ids, vec![2, 2, 1]));
    t.get("/export/admin/jobs", Some(&asha)).await.problem(403, "forbidden");
    t.get("/export/admin/jobs", None).await.problem(401, "unauthenticated");
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=x"] {
        t.get(&format!("/export/admin/jobs?{wrong}"), Some(&admin)).await.problem(400, "invalid");
    }
}

#[testkit::both_databases]
async fn export_history_is_paged_and_private(t: TestApp) {
    let (asha, ravi) = (t.driver("Asha").await, t.driver("Ravi").await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, request(&t, &asha).await);
        request(&t, &ravi).await;
    }
    assert_eq!(listed(&t, "/export/csv/history", &asha).await, (ids.clone(), vec![5]));
    assert_eq!(listed(&t, "/export/csv/history?limit=2", &asha).await, (ids.clone(), vec![2, 2, 1]));
    assert_eq!(listed(&t, "/export/csv/history?limit=5", &asha).await, (ids, vec![5]));
}

#[testkit::both_databases]
async fn cleanup_is_admin_only_and_queued_once(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    t.post(CLEANUP, Some(&asha), json!({})).await.problem(403, "forbidden");
    t.post(CLEANUP, None, json!({})).await.problem(401, "unauthenticated");
    let count = "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'clean-up-exports'";
    assert_eq!(number(&t, count).await, 0);

    let keyed = async |key: &str| {
        t.send(t.request(Method::POST, CLEANUP, Some(&admin)).header("idempotency-key", key))
            .await
            .expect(202)
    };
    let first = keyed("k1").await;
    let task = first.body["task_id"].clone();
    assert_eq!((&first.body["job_id"], &first.body["status"]), (&task, &json!("processing")));
    assert_eq!(first.headers["location"], format!("/api/tasks/{}", task.as_str().unwrap()));
    assert_eq!(first.headers["retry-after"], "1");
    assert_eq!(keyed("k2").await.body["task_id"], task, "one is already pending");
    for answer in at_once((0..10).map(|_| {
        let request = t.request(Method::POST, CLEANUP, Some(&admin));
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    }))
    .await
    {
        assert_eq!(answer["task_id"], task);
    }
    assert_eq!(number(&t, count).await, 1);

    let _worker = t.work();
    assert_eq!(
        result(&t, &admin, &task).await,
        json!({ "expired": 0, "files": 0, "bytes": 0 }),
        "without a folder"
    );
    t.get(&format!("/tasks/{}", task.as_str().unwrap()), Some(&asha)).await.problem(404, "not_found");
    let again = keyed("k1").await;
    assert_eq!((again.text, again.headers["idempotency-replayed"].to_str().unwrap()), (first.text, "true"));
    assert_eq!(number(&t, count).await, 1);
    let next = keyed("k3").await.body["task_id"].clone();
    assert_ne!(next, task, "the first has ended");
    result(&t, &admin, &next).await;
}

/// Defect 38.
#[testkit::both_databases]
async fn cleanup_removes_only_expired_files(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    // Disables the schedule, so that only this test triggers clean-ups.
    t.post("/admin/schedules/file-cleanup/pause", Some(&admin), json!({})).await.expect(200);
    let worker = t.work();
    let written = async |who: &Driver| {
        let id = request(&t, who).await;
        result(&t, who, &json!(id)).await;
        id
    };
    let expired = written(&asha).await;
    let bytes = fs::metadata(folder(&t).join(format!("{expired}.csv"))).unwrap().len();
    clock.advance(TimeDelta::hours(23));
    let (asha, admin) = (t.log_in(&asha.email).await, t.log_in(&admin.email).await);
    let fresh = written(&asha).await;
    assert_eq!(clean_up(&t, &admin).await, json!({ "expired": 0, "files": 0, "bytes": 0 }));
    worker.stop().await;
    clock.advance(TimeDelta::hours(1));

    let mut made = Vec::new();
    for state in ["running", "failed", "cancelled", "queued"] {
        let id = request(&t, &asha).await;
        let text = "UPDATE jobs SET state = $2, run_at = $3, worker = 'w', lease_token = $1, lease_until = $3 WHERE id = $1";
        let later = clock.now() + TimeDelta::hours(1);
        change(&t, text, [id.into(), state.into(), at(later)]).await.unwrap();
        made.push(id);
    }
    let [running, failed, cancelled, waiting] = made[..] else { unreachable!() };
    let unknown = Uuid::new_v4();
    let kept = file_names(running);
    let fresh_part = file_names(fresh)[1].clone();
    let gone = [file_names(failed), file_names(cancelled), file_names(waiting), file_names(unknown)].concat();
    write(&t, kept.clone());
    write(&t, gone.clone());
    write(&t, [fresh_part]);
    // Files that are not ours, whatever their names.
    let mut foreign = vec![
        "notes.txt".to_owned(),
        "x.csv".into(),
        "x.part".into(),
        ".csv".into(),
        format!("{unknown}"),
        format!("{unknown}.CSV"),
        format!("{unknown}.csv.bak"),
        format!("{unknown}.part"),
        format!("{unknown}.x.part"),
        format!("{}.csv", unknown.simple()),
        format!("{{{unknown}}}.csv"),
        format!("{}.csv", unknown.to_string().to_uppercase()),
        format!("a{unknown}.csv"),
    ];
    write(&t, foreign.clone());
    let (subfolder, link) = (format!("{}.csv", Uuid::new_v4()), format!("{}.csv", Uuid::new_v4()));
    fs::create_dir(folder(&t).join(&subfolder)).unwrap();
    write(&t, [format!("{subfolder}/{unknown}.csv")]);
    std::os::unix::fs::symlink(folder(&t).join("notes.txt"), folder(&t).join(&link)).unwrap();
    foreign.extend([subfolder.clone(), link]);

    let _worker = t.work();
    let said = clean_up(&t, &admin).await;
    assert_eq!(
        said,
        json!({ "expired": 1, "files": 2 + gone.len(), "bytes": bytes + 5 * (1 + gone.len() as u64) })
    );
    let stay = sorted(foreign.into_iter().chain(kept).chain([format!("{fresh}.csv")]));
    assert_eq!(names(&t), stay);
    assert!(folder(&t).join(subfolder).join(format!("{unknown}.csv")).exists());
    download(&t, &asha, fresh).await.expect(200);
    download(&t, &asha, expired).await.problem(410, "gone");
    let status =
        t.get(&format!("/export/csv/status/{expired}"), Some(&asha)).await.expect(200).body["export"].clone();
    assert_eq!((&status["status"], &status["download_url"]), (&json!("expired"), &Value::Null));
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM exports WHERE removed_at IS NOT NULL").await, 1);

    assert_eq!(clean_up(&t, &admin).await, json!({ "expired": 0, "files": 0, "bytes": 0 }));
    assert_eq!(names(&t), stay);

    // As if the process had been killed after the update of the row and before the removal of the file.
    write(&t, [format!("{expired}.csv")]);
    download(&t, &asha, expired).await.problem(410, "gone");
    assert_eq!(clean_up(&t, &admin).await, json!({ "expired": 0, "files": 1, "bytes": 5 }));
    assert_eq!(names(&t), stay);
}

#[testkit::both_databases]
async fn cleanup_spares_exports_in_progress(t: TestApp) {
    let _worker = t.work();
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(request(&t, &asha).await);
        assert_eq!(clean_up(&t, &admin).await, json!({ "expired": 0, "files": 0, "bytes": 0 }));
    }
    for id in ids {
        result(&t, &asha, &json!(id)).await;
        download(&t, &asha, id).await.expect(200);
    }
}

#[testkit::both_databases]
async fn failed_global_export_is_logged_not_disclosed(t: TestApp) {
    let admin = t.admin().await;
    let (process, base) = Processes::of(&t, &[]).api().await;
    let get = async |path: &str| {
        t.send(reqwest::Client::new().get(format!("{base}{path}")).bearer_auth(&admin.token)).await
    };
    let paths = ["/export/parking-details", "/export/monthly-report"];
    change(&t, "ALTER TABLE reservations RENAME TO mislaid", []).await.unwrap();
    for path in paths {
        let answer = get(path).await;
        answer.problem(500, "internal");
        assert!(
            !answer.text.contains("reservations") && !answer.text.to_lowercase().contains("sql"),
            "{}",
            answer.text
        );
        let (log, id) = (process.log(), answer.body["request_id"].as_str().unwrap().to_owned());
        let explanation = log.lines().find(|line| line.contains(&id) && line.contains("reservations"));
        assert!(explanation.is_some(), "{path} is not explained in the log:\n{log}");
    }
    change(&t, "ALTER TABLE mislaid RENAME TO reservations", []).await.unwrap();
    for path in paths {
        get(path).await.expect(200);
    }
}
