//! Exports: request, follow, download, list and cancel.

use chrono::TimeDelta;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::{base::clock::Clock, platform::db::sql};
use testkit::{Answer, Driver, PASSWORD, TestApp};
use uuid::Uuid;

use crate::support::{change, noon, number, plain, pointers, reserve, spots};

const HEADER: &str = "reservation id,lot,address,spot,start,end,duration in hours,cost,currency,status,payment method,transaction id,vehicle";

pub(crate) async fn request(t: &TestApp, who: &Driver, options: Value) -> String {
    let answer = t.post("/export/csv/request", Some(who), options).await.expect(202);
    answer.body["task_id"].as_str().expect("an id").to_owned()
}

async fn state(t: &TestApp, who: &Driver, id: &str) -> String {
    let answer = t.get(&format!("/tasks/{id}"), Some(who)).await.expect(200);
    answer.body["state"].as_str().expect("a state").to_owned()
}

pub(crate) async fn finished(t: &TestApp, who: &Driver, id: &str) {
    t.eventually("the export is written", || async { state(t, who, id).await == "SUCCESS" }).await;
}

async fn download(t: &TestApp, who: &Driver, id: &str) -> Answer {
    t.get(&format!("/export/download/{id}"), Some(who)).await
}

/// Requests an export, waits for it and downloads it.
pub(crate) async fn exported(t: &TestApp, who: &Driver, options: Value) -> String {
    let id = request(t, who, options).await;
    finished(t, who, &id).await;
    download(t, who, &id).await.expect(200).text
}

pub(crate) async fn register(t: &TestApp, name: &str, vehicle: &str) -> Driver {
    let email = format!("{}@example.com", name.to_lowercase());
    let body = json!({ "username": name, "email": email, "password": PASSWORD, "vehicle_number": vehicle });
    t.post("/auth/register", None, body).await.expect(201);
    t.log_in(&email).await
}

pub(crate) async fn stay(
    t: &TestApp,
    clock: &Clock,
    who: &Driver,
    lot: i64,
    minutes: i64,
    transaction: &str,
) -> i64 {
    let id = t.book(who, lot).await;
    clock.advance(TimeDelta::minutes(minutes));
    let body = json!({ "reservation_id": id, "transaction_id": transaction, "payment_method": "card" });
    t.post("/booking/release-spot", Some(who), body).await.expect(200);
    id
}

pub(crate) fn records(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(ToOwned::to_owned).collect()).collect()
}

fn ids(csv: &str) -> Vec<i64> {
    records(csv).iter().map(|record| record[0].parse().unwrap()).collect()
}

async fn ids_of(t: &TestApp, query: &str) -> Vec<Uuid> {
    let db = t.app.db.read();
    let rows = db.query_all_raw(sql(db, query, [])).await.unwrap();
    assert!(!rows.is_empty(), "{query}");
    rows.iter().map(|row| row.try_get("", "id").unwrap()).collect()
}

fn files(t: &TestApp) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(t.folder().join("files")) else { return Vec::new() };
    folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[testkit::both_databases]
async fn export_request_returns_location_and_retry_after(t: TestApp) {
    let asha = t.driver("Asha").await;
    for path in ["/export/csv/request", "/tasks/export-csv"] {
        let answer = t.send(t.request(Method::POST, path, Some(&asha))).await.expect(202);
        let id = answer.body["task_id"].as_str().expect("an id");
        assert_eq!(answer.body["job_id"], id);
        assert_eq!(answer.body["status"], "processing");
        assert!(answer.body["msg"].is_string() && answer.body["message"].is_string());
        assert_eq!(answer.headers["location"], format!("/api/tasks/{id}"));
        assert_eq!(answer.headers["retry-after"], "1");
        let location = answer.headers["location"].to_str().unwrap().replacen('/', "//", 1);
        t.get(&location, Some(&asha)).await.expect(200);
    }
}

#[testkit::both_databases]
async fn export_has_one_row_per_reservation_of_the_caller(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let asha = register(&t, "Asha", "MH12AB1234").await;
    let ravi = t.driver("Ravi").await;
    let lot = t.lot(3).await;
    let theirs = t.book(&ravi, lot).await;
    let first = stay(&t, &clock, &asha, lot, 90, "TXN1").await;
    let third = spots(&t, lot).await[2];
    let until = clock.now() + TimeDelta::hours(3);
    let coming = reserve(&t, asha.id, third, clock.now() + TimeDelta::hours(1), until).await.unwrap();
    let running = t.book(&asha, lot).await;

    let id = request(&t, &asha, json!({})).await;
    finished(&t, &asha, &id).await;
    let answer = download(&t, &asha, &id).await.expect(200);
    let expected = format!(
        "{HEADER}\n\
         {first},Main Street,\"1, Main Street\",2,2026-11-20T12:00:00Z,2026-11-20T13:30:00Z,1.50,51.00,INR,completed,Card,TXN1,MH12AB1234\n\
         {coming},Main Street,\"1, Main Street\",3,2026-11-20T14:30:00Z,2026-11-20T16:30:00Z,2.00,0.00,INR,reserved,,,MH12AB1234\n\
         {running},Main Street,\"1, Main Street\",2,2026-11-20T13:30:00Z,,,0.00,INR,active,,,MH12AB1234\n",
    );
    assert_eq!(answer.text, expected, "without {theirs}");
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "private, no-store");
    let name = "parking_history_20261120_190000.csv"; // in Kolkata
    assert_eq!(
        answer.headers["content-disposition"],
        format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}")
    );

    let status = plain(&t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200));
    let sha256 =
        Sha256::digest(&answer.text).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(
        status,
        json!({ "export": {
            "job_id": id, "task_id": id, "status": "completed", "current": 3, "total": 3, "format": "csv", "file_name": name, "rows": 3,
            "bytes": answer.text.len(), "sha256": sha256, "download_url": format!("/api/export/download/{id}"),
            "created_at": "2026-11-20T13:30:00Z", "completed_at": "2026-11-20T13:30:00Z", "expires_at": "2026-11-21T13:30:00Z",
        }})
    );
    assert_eq!(files(&t), [format!("{id}.csv")], "no partial file is left");
}

#[testkit::both_databases]
async fn export_without_reservations_has_only_the_header(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    assert_eq!(exported(&t, &asha, json!({})).await, format!("{HEADER}\n"));
}

/// Defect 38.
#[testkit::both_databases]
async fn formula_cells_are_neutralized_and_others_kept(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let admin = t.admin().await;
    let body = json!({
        "location_name": "=HYPERLINK(\"http://x\",\"y\")", "price": 1, "pincode": "1", "number_of_slots": 1,
        "address": "a \"b\"\\c\td\n\u{1F697} 東京, 'x'",
    });
    let lot =
        t.post("/parking-lots", Some(&admin), body).await.expect(201).body["lot"]["id"].as_i64().unwrap();
    let asha = register(&t, "Asha", "+1234").await;
    stay(&t, &clock, &asha, lot, 1, "@SUM(A1)").await;
    stay(&t, &clock, &asha, lot, 1, "-1+1").await;
    stay(&t, &clock, &asha, lot, 1, "\t=1").await;
    let csv = exported(&t, &asha, json!({})).await;
    let records = records(&csv);
    assert_eq!(records[0][1], "'=HYPERLINK(\"http://x\",\"y\")");
    assert_eq!(records[0][2], "a \"b\"\\c\td\n\u{1F697} 東京, 'x'");
    assert_eq!(records[0][12], "'+1234");
    let transactions: Vec<_> = records.iter().map(|record| record[11].as_str()).collect();
    assert_eq!(transactions, ["'@SUM(A1)", "'-1+1", "'\t'=1"]);
}

#[testkit::both_databases]
async fn export_filters_by_dates_and_lot(t: TestApp) {
    // Midnight in Kolkata is 18:30 UTC.
    let clock = Clock::fixed("2026-11-20T18:29:59Z".parse().unwrap());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let (one, two) = (t.lot(1).await, t.lot(1).await);
    let before = stay(&t, &clock, &asha, one, 0, "a").await;
    clock.advance(TimeDelta::seconds(1));
    let first = stay(&t, &clock, &asha, two, 0, "b").await;
    clock.advance(TimeDelta::microseconds(1));
    let second = stay(&t, &clock, &asha, one, 0, "c").await;
    clock.advance(TimeDelta::milliseconds(500));
    let third = stay(&t, &clock, &asha, one, 0, "d").await;
    for (options, expected) in [
        (json!({}), vec![before, first, second, third]),
        (json!({ "from": "2026-11-21" }), vec![first, second, third]),
        (json!({ "to": "2026-11-21" }), vec![before]),
        (json!({ "from": "2026-11-20", "to": "2026-11-21" }), vec![before]),
        (json!({ "from": "2026-11-21T00:00:00" }), vec![first, second, third]),
        (json!({ "from": "2026-11-20T18:30:00Z", "to": "2026-11-21T00:00:00.000001+05:30" }), vec![first]),
        (json!({ "from": "2026-11-20T18:30:00.000001Z" }), vec![second, third]),
        (json!({ "from": "2026-11-20T18:30:00.5Z" }), vec![third]),
        (json!({ "from": "2026-11-20T18:30:00.500001Z", "lot_id": one }), vec![third]),
        (json!({ "lot_id": two }), vec![first]),
        (json!({ "lot_id": one, "from": "2026-11-21" }), vec![second, third]),
        (json!({ "lot_id": 999_999 }), vec![]),
        (
            json!({ "from": null, "to": null, "lot_id": null, "scope": null }),
            vec![before, first, second, third],
        ),
    ] {
        assert_eq!(ids(&exported(&t, &asha, options.clone()).await), expected, "{options}");
    }
}

#[testkit::both_databases]
async fn wrong_export_options_are_named(t: TestApp) {
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    for (field, value) in [
        ("from", json!("yesterday")),
        ("from", json!("")),
        ("from", json!(7)),
        ("to", json!("2026-13-01")),
        ("to", json!("2026-11-20T25:00:00Z")),
        ("lot_id", json!("1")),
        ("lot_id", json!(1.5)),
        ("anonymise", json!("yes")),
        ("anonymise", json!(null)),
        ("scope", json!("everything")),
        ("scope", json!(["all"])),
    ] {
        for path in ["/export/csv/request", "/tasks/export-csv"] {
            let answer = t.post(path, Some(&asha), json!({ field: value })).await;
            assert_eq!(pointers(&answer), [format!("/{field}")], "{value}");
        }
    }
    let reversed = json!({ "from": "2026-11-20", "to": "2026-11-20" });
    assert_eq!(pointers(&t.post("/export/csv/request", Some(&asha), reversed).await), ["/to"]);
    t.post("/export/csv/request", Some(&asha), json!({ "scope": "all" })).await.problem(403, "forbidden");
    t.post("/tasks/export-csv", Some(&asha), json!({ "scope": "all" })).await.problem(403, "forbidden");
    t.post("/tasks/export-pdf", Some(&admin), json!({})).await.problem(400, "unknown_task");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM exports").await, 0);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'export-csv'").await, 0);
}

#[testkit::both_databases]
async fn admins_export_everybody_with_or_without_names(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let (asha, ravi) = (register(&t, "Asha", "MH12AB1234").await, register(&t, "Ravi", "KA01XY9999").await);
    let admin = t.admin().await;
    let lot = t.lot(1).await;
    let mut expected = Vec::new();
    for (who, transaction) in [(&asha, "TXN1"), (&ravi, "TXN2"), (&asha, "TXN3")] {
        expected.push(stay(&t, &clock, who, lot, 1, transaction).await);
    }
    let named = exported(&t, &admin, json!({ "scope": "all" })).await;
    assert_eq!(named.lines().next().unwrap(), format!("{HEADER},user"));
    assert_eq!(ids(&named), expected);
    let users: Vec<_> = records(&named).into_iter().map(|record| record[13].clone()).collect();
    assert_eq!(users, ["Asha", "Ravi", "Asha"]);

    let hidden = exported(&t, &admin, json!({ "scope": "all", "anonymise": true })).await;
    assert_eq!(ids(&hidden), expected);
    for identity in ["Asha", "Ravi", "MH12", "KA01", "TXN"] {
        assert!(!hidden.contains(identity), "{identity} in {hidden}");
    }
    let users: Vec<_> = records(&hidden).into_iter().map(|record| record[13].clone()).collect();
    assert!(users[0] == users[2] && users[0] != users[1] && users[0].len() == 16, "{users:?}");
    assert_eq!(
        exported(&t, &admin, json!({ "scope": "all", "anonymise": true })).await,
        hidden,
        "the hash is stable"
    );
    let own = exported(&t, &asha, json!({ "anonymise": true })).await;
    assert!(!own.contains("MH12") && !own.contains("TXN"), "{own}");
    assert_eq!(ids(&exported(&t, &admin, json!({ "scope": "own" })).await), Vec::<i64>::new());
}

#[testkit::both_databases]
async fn downloads_support_ranges(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    t.book(&asha, lot).await;
    let id = request(&t, &asha, json!({})).await;
    finished(&t, &asha, &id).await;
    let path = format!("/export/download/{id}");
    let whole = download(&t, &asha, &id).await.expect(200);
    let size = whole.text.len();
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-length"], size.to_string());
    let part =
        async |range: &str| t.send(t.request(Method::GET, &path, Some(&asha)).header("range", range)).await;
    for (range, from, to) in [
        ("bytes=0-9", 0, 9),
        ("bytes=10-", 10, size - 1),
        ("bytes=-5", size - 5, size - 1),
        ("bytes=0-999999", 0, size - 1),
        ("bytes=-999999", 0, size - 1),
        ("BYTES=0-9", 0, 9),
        ("bytes=00-09", 0, 9),
    ] {
        let answer = part(range).await.expect(206);
        assert_eq!(answer.text, whole.text[from..=to], "{range}");
        assert_eq!(answer.headers["content-range"], format!("bytes {from}-{to}/{size}"));
        assert_eq!(answer.headers["content-disposition"], whole.headers["content-disposition"]);
        assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    }
    for range in [format!("bytes={size}-"), "bytes=999999-1000000".into(), "bytes=-0".into()] {
        let answer = part(&range).await;
        answer.problem(416, "range_not_satisfiable");
        assert_eq!(answer.headers["content-range"], format!("bytes */{size}"));
    }
    let head = t.send(t.request(Method::HEAD, &path, Some(&asha))).await.expect(200);
    assert_eq!(head.text, "");
    for header in ["content-length", "content-type", "content-disposition", "accept-ranges"] {
        assert_eq!(head.headers[header], whole.headers[header], "{header}");
    }
    t.send(t.request(Method::HEAD, &path, None)).await.expect(401);
}

/// Case 18.
#[testkit::both_databases]
async fn ranges_that_cannot_be_served_are_ignored(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let id = request(&t, &asha, json!({})).await;
    finished(&t, &asha, &id).await;
    let path = format!("/export/download/{id}");
    let whole = download(&t, &asha, &id).await.expect(200);
    let get = async |headers: &[(&str, &str)]| {
        let request = t.request(Method::GET, &path, Some(&asha));
        t.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    };
    for range in
        ["bytes=0-3,10-12", "items=0-1", "bytes=9-3", "bytes=a-b", "bytes=", "0-3", "bytes=999999-,-0"]
    {
        let answer = get(&[("range", range)]).await.expect(200);
        assert_eq!(
            (answer.text.as_str(), answer.headers.get("content-range")),
            (whole.text.as_str(), None),
            "{range}"
        );
    }
    let (tag, date) =
        (whole.headers["etag"].to_str().unwrap(), whole.headers["last-modified"].to_str().unwrap());
    for (validator, status) in [
        (tag, 206),
        (date, 206),
        ("\"x\"", 200),
        (&format!("W/{tag}"), 200),
        ("Fri, 20 Nov 2026 13:07:00 GMT", 200),
        ("nonsense", 200),
    ] {
        let answer = get(&[("range", "bytes=0-3"), ("if-range", validator)]).await.expect(status);
        assert_eq!(answer.text == whole.text, status == 200, "{validator}");
        get(&[("if-range", validator)]).await.expect(200);
    }
    get(&[("range", "bytes=999999-"), ("if-range", "\"x\"")]).await.expect(200);
    get(&[("range", "bytes=0-3"), ("if-none-match", tag)]).await.expect(304);
    let head =
        t.send(t.request(Method::HEAD, &path, Some(&asha)).header("range", "bytes=0-3")).await.expect(200);
    assert_eq!(head.headers["content-length"], whole.text.len().to_string());
}

#[testkit::both_databases]
async fn export_file_exists_from_success_until_expiry(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let id = request(&t, &asha, json!({})).await;
    download(&t, &asha, &id).await.problem(409, "export_not_ready");
    let status = t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200);
    assert_eq!(
        (&status.body["export"]["status"], &status.body["export"]["download_url"]),
        (&json!("pending"), &Value::Null)
    );
    assert_eq!(state(&t, &asha, &id).await, "PENDING");
    let _worker = t.work();
    finished(&t, &asha, &id).await;
    clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    let asha = t.log_in(&asha.email).await;
    download(&t, &asha, &id).await.expect(200);
    clock.advance(TimeDelta::seconds(1));
    download(&t, &asha, &id).await.problem(410, "gone");
    let status = t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200);
    assert_eq!(
        (&status.body["export"]["status"], &status.body["export"]["download_url"]),
        (&json!("expired"), &Value::Null)
    );
}

#[testkit::both_databases]
async fn removed_export_file_is_gone(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let id = request(&t, &asha, json!({})).await;
    finished(&t, &asha, &id).await;
    std::fs::remove_file(t.folder().join("files").join(format!("{id}.csv"))).unwrap();
    download(&t, &asha, &id).await.problem(410, "gone");
}

/// Defects 37 and 39.
#[testkit::both_databases]
async fn failed_export_hides_internals(t: TestApp) {
    let asha = t.driver("Asha").await;
    let id = request(&t, &asha, json!({})).await;
    let text = "UPDATE jobs SET state = 'failed', error = 'internal error: writing /srv/secret', finished_at = created_at WHERE kind = 'export-csv'";
    change(&t, text, []).await.unwrap();
    download(&t, &asha, &id).await.problem(409, "export_failed");
    let task = t.get(&format!("/tasks/{id}"), Some(&asha)).await.expect(200);
    assert_eq!((&task.body["state"], &task.body["error"]), (&json!("FAILURE"), &json!("internal error")));
    let status = t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200);
    assert_eq!(status.body["export"]["status"], "failed");
    assert!(!(task.text + &status.text).contains("secret"));
}

#[testkit::both_databases]
async fn task_endpoints_agree(t: TestApp) {
    let (asha, admin) = (t.driver("Asha").await, t.admin().await);
    let id = t.post("/tasks/export-csv", Some(&asha), json!({})).await.expect(202).body["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let both = async |who: &Driver| {
        let by_id = t.get(&format!("/tasks/{id}"), Some(who)).await.expect(200);
        let by_type = t.get(&format!("/tasks/export-csv?task_id={id}"), Some(who)).await.expect(200);
        assert_eq!(by_id.body, by_type.body);
        plain(&by_id)
    };
    let pending = both(&asha).await;
    assert_eq!((&pending["task_id"], &pending["state"]), (&json!(id), &json!("PENDING")));
    assert!(
        pending["status"].is_string() && pending.get("result").is_none() && pending.get("error").is_none()
    );
    let _worker = t.work();
    finished(&t, &asha, &id).await;
    let done = both(&asha).await;
    assert_eq!((&done["result"]["status"], &done["result"]["rows"]), (&json!("success"), &json!(0)));
    assert_eq!(both(&admin).await, done);
    let status = t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200);
    for (of_task, of_export) in [("file", "file_name"), ("download_url", "download_url")] {
        assert_eq!(done["result"][of_task], status.body["export"][of_export]);
    }
    let url = done["result"]["download_url"].as_str().unwrap().trim_start_matches("/api");
    t.get(url, Some(&asha)).await.expect(200);
}

/// Defect 37.
#[testkit::both_databases]
async fn unknown_and_foreign_tasks_are_not_found(t: TestApp) {
    let (asha, ravi, admin) = (t.driver("Asha").await, t.driver("Ravi").await, t.admin().await);
    let _worker = t.work();
    let id = request(&t, &asha, json!({})).await;
    finished(&t, &asha, &id).await;
    let unknown = "0190a0a0-0000-7000-8000-000000000000";
    for (who, id) in [(&ravi, id.as_str()), (&asha, unknown), (&admin, unknown)] {
        for path in [
            format!("/tasks/{id}"),
            format!("/tasks/export-csv?task_id={id}"),
            format!("/export/csv/status/{id}"),
            format!("/export/download/{id}"),
        ] {
            t.get(&path, Some(who)).await.problem(404, "not_found");
        }
        t.post(&format!("/export/csv/cancel/{id}"), Some(who), json!({})).await.problem(404, "not_found");
    }
    for path in [format!("/tasks/{id}"), format!("/export/csv/status/{id}"), format!("/export/download/{id}")]
    {
        t.get(&path, Some(&admin)).await.expect(200);
    }
    for (path, status, code) in [
        ("/tasks/nonsense", 400, "unknown_task"),
        ("/tasks/7", 400, "unknown_task"),
        ("/tasks/test-daily-reminder?task_id=7", 404, "not_found"),
        ("/tasks/export-csv", 400, "invalid"),
        ("/tasks/export-csv?task=7", 400, "invalid"),
        ("/tasks/export-csv?task_id=7", 404, "not_found"),
        ("/tasks/export-csv?task_id=", 404, "not_found"),
        ("/export/csv/status/7", 404, "not_found"),
        ("/export/download/nonsense", 404, "not_found"),
        ("/export/download/..%2F..%2Fetc%2Fpasswd", 404, "not_found"),
    ] {
        t.get(path, Some(&asha)).await.problem(status, code);
    }
    // Mails are jobs, too.
    for mail in
        ids_of(&t, &format!("SELECT id FROM jobs WHERE queue = 'mail' AND owner_id = {}", asha.id)).await
    {
        t.get(&format!("/tasks/{mail}"), Some(&ravi)).await.problem(404, "not_found");
    }
    let history = t.get("/export/csv/history", Some(&ravi)).await.expect(200);
    assert_eq!(history.body["exports"], json!([]));
}

#[testkit::both_databases]
async fn export_history_is_newest_first(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let asha = t.driver("Asha").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, request(&t, &asha, json!({})).await);
        clock.advance(TimeDelta::seconds(1));
    }
    let history = plain(&t.get("/export/csv/history", Some(&asha)).await.expect(200));
    let listed: Vec<_> = history["exports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|export| export["job_id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ids);
    let one = plain(&t.get(&format!("/export/csv/status/{}", ids[0]), Some(&asha)).await.expect(200));
    assert_eq!(history["exports"][0], one["export"], "the list and the single export agree");
}

#[testkit::both_databases]
async fn cancelled_export_never_runs(t: TestApp) {
    let asha = t.driver("Asha").await;
    let id = request(&t, &asha, json!({})).await;
    let answer = t.post(&format!("/export/csv/cancel/{id}"), Some(&asha), json!({})).await.expect(200);
    assert_eq!(answer.body["export"]["status"], "cancelled");
    assert_eq!(state(&t, &asha, &id).await, "CANCELLED");
    t.post(&format!("/export/csv/cancel/{id}"), Some(&asha), json!({})).await.expect(200);
    let _worker = t.work();
    let later = request(&t, &asha, json!({})).await;
    finished(&t, &asha, &later).await;
    assert_eq!(state(&t, &asha, &id).await, "CANCELLED");
    download(&t, &asha, &id).await.problem(409, "export_cancelled");
    assert_eq!(files(&t), [format!("{later}.csv")]);
    t.post(&format!("/export/csv/cancel/{later}"), Some(&asha), json!({})).await.problem(409, "export_ended");
    assert_eq!(state(&t, &asha, &later).await, "SUCCESS");
    download(&t, &asha, &later).await.expect(200);
    assert_eq!(
        number(&t, "SELECT CAST(SUM(attempt) AS BIGINT) AS n FROM jobs WHERE kind = 'export-csv'").await,
        1
    );
}

#[testkit::both_databases]
async fn demoted_admins_lose_global_exports(t: TestApp) {
    let admin = t.admin().await;
    let body = json!({ "username": "Boss", "email": "boss@example.com", "password": testkit::PASSWORD, "role": "admin" });
    t.post("/users", Some(&admin), body).await.expect(201);
    let boss = t.log_in("boss@example.com").await;
    let ask = async |scope: &str| {
        let answer = t.post("/export/csv/request", Some(&boss), json!({ "scope": scope })).await.expect(202);
        answer.body["task_id"].as_str().unwrap().to_owned()
    };
    let (all, own) = (ask("all").await, ask("own").await);
    t.put(&format!("/users/{}", boss.id), Some(&admin), json!({ "role": "user" })).await.expect(200);
    let boss = t.log_in("boss@example.com").await;
    t.get(&format!("/export/csv/status/{all}"), Some(&boss)).await.problem(404, "not_found");
    t.get(&format!("/export/download/{all}"), Some(&boss)).await.problem(404, "not_found");
    let own = t.get(&format!("/export/csv/status/{own}"), Some(&boss)).await.expect(200);
    assert_eq!(
        own.body["export"]["status"], "cancelled",
        "running exports are cancelled when the role is lost"
    );
}
