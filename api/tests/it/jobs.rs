//! Schedules, queues and jobs as administrators see and control them.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    base::clock::Clock,
    jobs::{NewJob, control, ledger, policy::LEASE, schedule::Proposer},
    operations::{cleanup::CleanUp, schedules},
    parking::{exports::cleanup::CleanUpExports, notifications},
    platform::db::at,
};
use testkit::{Answer, Driver, TestApp};
use uuid::Uuid;

use crate::support::{change, noon, number, seconds};

async fn insert(t: &TestApp, job: &NewJob) -> Uuid {
    ledger::insert(t.app.db.write(), t.app.clock.now(), job).await.unwrap().id
}

fn clean_up(t: &TestApp) -> NewJob {
    NewJob::of(&CleanUp { due: t.app.clock.now() }).unwrap()
}

/// Inserts a job that has failed permanently.
async fn dead(t: &TestApp, job: &NewJob) -> Uuid {
    let id = insert(t, job).await;
    let text = "UPDATE jobs SET state = 'failed', attempt = 10, crashes = 2, error = 'no route', finished_at = $2 WHERE id = $1";
    change(t, text, [id.into(), at(t.app.clock.now())]).await.unwrap();
    id
}

async fn state(t: &TestApp, id: Uuid) -> String {
    control::find_details(&t.app, id).await.unwrap().state.to_string()
}

async fn act(t: &TestApp, who: &Driver, path: &str) -> Answer {
    t.send(t.request(Method::POST, path, Some(who))).await
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

fn ids(list: &Value) -> Vec<Uuid> {
    list.as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().parse().unwrap()).collect()
}

/// The same application with the clock stopped at `now`.
async fn fixed(t: &TestApp, now: DateTime<Utc>) -> TestApp {
    t.at(Clock::fixed(now)).await
}

#[testkit::both_databases]
async fn operators_see_schedules_queues_and_jobs(t: TestApp) {
    let t = fixed(&t, noon()).await;
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let now = t.app.clock.now();
    let welcome = || notifications::welcome(asha.id).unwrap();
    change(&t, "DELETE FROM jobs", []).await.unwrap();
    insert(&t, &welcome().run_at(now + seconds(60))).await;
    let running = insert(&t, &clean_up(&t)).await;
    let claim = ledger::claim(&t.app.db, now, LEASE, "worker-7", running).await.unwrap().unwrap();
    ledger::renew(&t.app.db, now, LEASE, &claim, (3, 9)).await.unwrap();
    insert(&t, &clean_up(&t).run_at(now - seconds(90))).await;
    let given_up = [
        dead(&t, &clean_up(&t)).await,
        dead(&t, &clean_up(&t)).await,
        dead(&t, &welcome().unique("other")).await,
    ];
    act(&t, &admin, "/admin/queues/mail/pause").await.expect(200);

    let board = t.get("/admin/jobs", Some(&admin)).await.expect(200).body;
    let reminders = named(&board["schedules"], "daily-reminders");
    // 18:00 in Kolkata.
    assert_eq!(reminders["next_run"], "2026-11-20T12:30:00Z");
    assert_eq!(
        (&reminders["last_run"], &reminders["paused"], &reminders["timetable"]),
        (&Value::Null, &json!(false), &json!("0 18 * * * Asia/Kolkata"))
    );
    assert_eq!(named(&board["schedules"], "monthly-reports")["next_run"], "2026-12-01T03:30:00Z");
    assert_eq!(named(&board["schedules"], "file-cleanup")["next_run"], "2026-11-20T20:30:00Z");
    let queue = |name: &str, paused: bool, waiting: i64, due: i64, oldest: Value, running: i64| {
        let expected = json!({ "name": name, "paused": paused, "waiting": waiting, "due": due, "oldest_seconds": oldest, "running": running });
        assert_eq!(named(&board["queues"], name), &expected);
    };
    queue("mail", true, 1, 0, Value::Null, 0);
    queue("exports", false, 0, 0, Value::Null, 0);
    queue("maintenance", false, 1, 1, json!(90), 1);
    let expected = json!([{
        "job_id": running, "kind": "clean-up", "queue": "maintenance", "worker": "worker-7", "user_id": null,
        "attempt": 1, "max_attempts": 10, "current": 3, "total": 9, "started_at": now,
    }]);
    assert_eq!(board["running"], expected);
    assert_eq!(ids(&board["dead"]), [given_up[2], given_up[1], given_up[0]]);
    assert_eq!(
        (&board["dead"][0]["error"], &board["dead"][0]["user_id"]),
        (&json!("no route"), &json!(asha.id))
    );

    let part = t.get("/admin/jobs?limit=2", Some(&admin)).await.expect(200);
    assert_eq!(ids(&part.body["dead"]), [given_up[2], given_up[1]]);
    let link = part.headers["link"].to_str().unwrap().to_owned();
    let next = link.strip_prefix("</api").unwrap().split('>').next().unwrap();
    let rest = t.get(next, Some(&admin)).await.expect(200);
    assert_eq!((ids(&rest.body["dead"]), rest.headers.get("link")), (vec![given_up[0]], None));
}

#[testkit::both_databases]
async fn job_details_omit_the_lease_token(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let id = insert(&t, &notifications::export_ready(Uuid::nil(), asha.id).unwrap()).await;
    let claim = ledger::claim(&t.app.db, t.app.clock.now(), LEASE, "worker-7", id).await.unwrap().unwrap();
    let answer = t.get(&format!("/admin/jobs/{id}"), Some(&admin)).await.expect(200);
    let job = &answer.body["job"];
    assert_eq!(
        (&job["kind"], &job["state"], &job["worker"]),
        (&json!("send-export-ready"), &json!("running"), &json!("worker-7"))
    );
    assert_eq!(job["payload"], json!({ "export_id": Uuid::nil() }));
    assert!(!answer.text.contains(&claim.lease_token.to_string()), "{}", answer.text);
    t.get(&format!("/admin/jobs/{}", Uuid::nil()), Some(&admin)).await.problem(404, "not_found");
    t.get(&format!("/admin/jobs/{id}"), Some(&asha)).await.problem(403, "forbidden");
}

#[testkit::both_databases]
async fn requeued_dead_job_restarts_for_its_owner(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let id = dead(&t, &NewJob::of(&CleanUpExports {}).unwrap().owner(asha.id)).await;
    shared::jobs::status::publish_from_ledger(&t.app, id).await;
    assert_eq!(t.get(&format!("/tasks/{id}"), Some(&asha)).await.body["state"], "FAILURE");
    act(&t, &admin, &format!("/admin/jobs/{id}/requeue")).await.expect(200);
    t.eventually("the outdated status in Redis is ignored", || async {
        t.get(&format!("/tasks/{id}"), Some(&asha)).await.body["state"] == "PENDING"
    })
    .await;
    let job = control::find_details(&t.app, id).await.unwrap();
    assert_eq!((job.attempt, job.crashes, job.error, job.finished_at), (0, 0, None, None));
    act(&t, &admin, &format!("/admin/jobs/{id}/requeue")).await.problem(409, "job_not_dead");
    act(&t, &admin, &format!("/admin/jobs/{}/requeue", Uuid::nil())).await.problem(404, "not_found");
    let worker = t.work();
    t.eventually("the job succeeds", || async { state(&t, id).await == "succeeded" }).await;
    assert_eq!(control::find_details(&t.app, id).await.unwrap().attempt, 1);
    worker.stop().await;
}

#[testkit::both_databases]
async fn requeue_all_respects_unique_keys(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    change(&t, "DELETE FROM jobs", []).await.unwrap();
    let keyed = |key: &str| clean_up(&t).unique(key);
    let mut once = Vec::new();
    for _ in 0..3 {
        once.push(dead(&t, &keyed("once")).await);
    }
    let taken = dead(&t, &keyed("taken")).await;
    let living = insert(&t, &keyed("taken")).await;
    let free = [dead(&t, &clean_up(&t)).await, dead(&t, &clean_up(&t)).await];
    let mail = dead(&t, &notifications::welcome(asha.id).unwrap()).await;

    let some =
        t.post("/admin/jobs/requeue", Some(&admin), json!({ "kind": "send-welcome" })).await.expect(200);
    assert_eq!((some.body["jobs"].clone(), state(&t, mail).await.as_str()), (json!(1), "queued"));
    assert_eq!(act(&t, &admin, "/admin/jobs/requeue").await.expect(200).body["jobs"], 3);
    for (id, expected) in [
        (once[0], "failed"),
        (once[1], "failed"),
        (once[2], "queued"),
        (taken, "failed"),
        (living, "queued"),
        (free[0], "queued"),
        (free[1], "queued"),
    ] {
        assert_eq!(state(&t, id).await, expected);
    }
    act(&t, &admin, &format!("/admin/jobs/{taken}/requeue")).await.problem(409, "job_lives");
    assert_eq!(act(&t, &admin, "/admin/jobs/requeue").await.expect(200).body["jobs"], 0);
    // Once the newer one is gone, an older one may be requeued by id.
    change(&t, "DELETE FROM jobs WHERE id = $1", [once[2].into()]).await.unwrap();
    act(&t, &admin, &format!("/admin/jobs/{}/requeue", once[0])).await.expect(200);
    t.post("/admin/jobs/requeue", Some(&admin), json!({ "kind": "a\0b" })).await.problem(400, "invalid");
}

#[testkit::both_databases]
async fn requeue_and_purge_handle_several_batches(t: TestApp) {
    let admin = t.admin().await;
    let tx = t.app.db.begin().await.unwrap();
    for _ in 0..1_201 {
        ledger::insert(&tx, t.app.clock.now(), &clean_up(&t)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let die = "UPDATE jobs SET state = 'failed', finished_at = created_at WHERE kind = 'clean-up'";
    change(&t, die, []).await.unwrap();
    assert_eq!(act(&t, &admin, "/admin/jobs/requeue").await.expect(200).body["jobs"], 1_201);
    assert_eq!(act(&t, &admin, "/admin/jobs/purge").await.expect(200).body["jobs"], 0, "no job is dead");
    change(&t, die, []).await.unwrap();
    assert_eq!(act(&t, &admin, "/admin/jobs/purge").await.expect(200).body["jobs"], 1_201);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'clean-up'").await, 0);
}

#[testkit::both_databases]
async fn purge_removes_only_dead_jobs_and_their_rows(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let export = t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202).body["task_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/admin/jobs/{export}");
    t.delete(&path, Some(&admin)).await.problem(409, "job_not_dead");
    change(&t, "UPDATE jobs SET state = 'failed', finished_at = created_at WHERE kind = 'export-csv'", [])
        .await
        .unwrap();
    t.delete(&path, Some(&admin)).await.expect(200);
    t.delete(&path, Some(&admin)).await.problem(404, "not_found");
    t.get(&format!("/export/csv/status/{export}"), Some(&asha)).await.problem(404, "not_found");
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM exports").await, 0);
    t.is_sound().await;
}

#[testkit::both_databases]
async fn only_live_jobs_can_be_cancelled(t: TestApp) {
    let admin = t.admin().await;
    let id = insert(&t, &clean_up(&t)).await;
    act(&t, &admin, &format!("/admin/jobs/{id}/cancel")).await.expect(200);
    assert_eq!(state(&t, id).await, "cancelled");
    let given_up = dead(&t, &clean_up(&t)).await;
    act(&t, &admin, &format!("/admin/jobs/{given_up}/cancel")).await.problem(409, "job_ended");
    act(&t, &admin, &format!("/admin/jobs/{}/cancel", Uuid::nil())).await.problem(404, "not_found");
}

#[testkit::both_databases]
async fn paused_queue_runs_nothing_until_resumed(t: TestApp) {
    let admin = t.admin().await;
    act(&t, &admin, "/admin/queues/mail/pause").await.expect(200);
    act(&t, &admin, "/admin/queues/mail/pause").await.expect(200);
    assert_eq!(
        number(&t, &format!("SELECT COUNT(*) AS n FROM paused_queues WHERE paused_by = {}", admin.id)).await,
        1
    );
    let worker = t.work();
    t.driver("Asha").await;
    // A later job of another queue has run, and the mail has not.
    let other = act(&t, &admin, "/export/admin/cleanup").await.expect(202).body["task_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    t.eventually("the clean-up succeeds", || async { state(&t, other).await == "succeeded" }).await;
    assert_eq!(
        (
            t.mails().len(),
            number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE queue = 'mail' AND state = 'queued'").await
        ),
        (0, 1)
    );
    act(&t, &admin, "/admin/queues/mail/resume").await.expect(200);
    t.eventually("the mail is sent", || async { t.mails().len() == 1 }).await;
    for path in ["/admin/queues/nothing/pause", "/admin/queues/nothing/resume", "/admin/schedules/mail/pause"]
    {
        act(&t, &admin, path).await.problem(404, "not_found");
    }
    worker.stop().await;
}

#[testkit::both_databases]
async fn ticks_of_a_paused_schedule_are_skipped(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let admin = t.admin().await;
    let mut proposer = Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    assert_eq!(proposer.propose_due().await.unwrap().len(), 0);
    act(&t, &admin, "/admin/schedules/file-cleanup/pause").await.expect(200);
    clock.advance(TimeDelta::hours(9));
    assert_eq!(
        proposer.propose_due().await.unwrap().len(),
        1,
        "the reminders of 18:00, and no clean-up at 02:00"
    );
    let admin = t.log_in(&admin.email).await;
    let board = t.get("/admin/jobs", Some(&admin)).await.expect(200).body;
    let cleanup = named(&board["schedules"], "file-cleanup");
    assert_eq!((&cleanup["paused"], &cleanup["next_run"]), (&json!(true), &Value::Null));
    assert_eq!(named(&board["schedules"], "daily-reminders")["last_state"], "queued");
    act(&t, &admin, "/admin/schedules/file-cleanup/resume").await.expect(200);
    let mut fresh = Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    assert_eq!(
        (proposer.propose_due().await.unwrap().len(), fresh.propose_due().await.unwrap().len()),
        (0, 0)
    );
    clock.advance(TimeDelta::hours(24));
    assert_eq!(fresh.propose_due().await.unwrap().len(), 2, "both ticks of the next day");
}

#[testkit::both_databases]
async fn manual_run_reuses_the_live_job(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    let path = "/admin/schedules/file-cleanup/run";
    let run = async || act(&t, &admin, path).await.expect(202);
    let first = run().await;
    let id = first.body["task_id"].as_str().unwrap().to_owned();
    assert_eq!(first.headers["location"], format!("/api/tasks/{id}"));
    assert_eq!(run().await.body["task_id"], json!(id), "the job is already pending");
    let worker = t.work();
    t.eventually("the job succeeds", || async { state(&t, id.parse().unwrap()).await == "succeeded" }).await;
    let board = t.get("/admin/jobs", Some(&admin)).await.expect(200).body;
    let cleanup = named(&board["schedules"], "file-cleanup");
    assert_eq!((&cleanup["last_job_id"], &cleanup["last_state"]), (&json!(id), &json!("succeeded")));
    assert_ne!(run().await.body["task_id"], json!(id), "the first job has ended");
    act(&t, &admin, "/admin/schedules/nothing/run").await.problem(404, "not_found");
    act(&t, &asha, path).await.problem(403, "forbidden");
    worker.stop().await;
}

#[testkit::both_databases]
async fn manual_run_reuses_a_live_tick(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let mut proposer = Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    proposer.propose_due().await.unwrap();
    clock.advance(TimeDelta::hours(1));
    let tick = proposer.propose_due().await.unwrap();
    let admin = t.admin().await;
    let answer = act(&t, &admin, "/tasks/test-daily-reminder").await.expect(202);
    assert_eq!(answer.body["task_id"], json!(tick[0]));
}

#[testkit::both_databases]
async fn admins_start_reminders_and_reports_as_tasks(t: TestApp) {
    let (admin, asha) = (t.admin().await, t.driver("Asha").await);
    for (task, kind) in
        [("test-daily-reminder", "send-reminders"), ("test-monthly-report", "send-monthly-reports")]
    {
        let path = format!("/tasks/{task}");
        act(&t, &asha, &path).await.problem(403, "forbidden");
        let keyed = async || {
            t.send(t.request(Method::POST, &path, Some(&admin)).header("idempotency-key", task))
                .await
                .expect(202)
        };
        let (first, second) = (keyed().await, keyed().await);
        assert_eq!(
            (
                first.body["status"].clone(),
                &second.body,
                second.headers["idempotency-replayed"].to_str().unwrap()
            ),
            (json!("processing"), &first.body, "true")
        );
        let id = first.body["task_id"].as_str().unwrap();
        assert_eq!(control::find_details(&t.app, id.parse().unwrap()).await.unwrap().kind, kind);
        assert_eq!(
            t.get(&format!("{path}?task_id={id}"), Some(&admin)).await.expect(200).body["state"],
            "PENDING"
        );
        t.get(&format!("{path}?task_id={id}"), Some(&asha)).await.problem(404, "not_found");
    }
    act(&t, &admin, "/tasks/nothing").await.problem(400, "unknown_task");
}

#[testkit::both_databases]
async fn mailing_results_are_text_for_old_clients_only(t: TestApp) {
    let admin = t.admin().await;
    let _worker = t.work();
    for task in ["test-daily-reminder", "test-monthly-report"] {
        let id = act(&t, &admin, &format!("/tasks/{task}")).await.expect(202).body["task_id"].clone();
        let id = id.as_str().unwrap();
        t.eventually("the run is done", async || {
            t.get(&format!("/tasks/{id}"), Some(&admin)).await.body["state"] == "SUCCESS"
        })
        .await;
        let asked = &t.get(&format!("/tasks/{id}"), Some(&admin)).await.body["result"]["asked"];
        assert!(asked.is_i64(), "{asked}");
        // The original ignored the name in the path.
        for name in [task, "export-csv"] {
            let old = t.get(&format!("/tasks/{name}?task_id={id}"), Some(&admin)).await.expect(200);
            assert_eq!(old.body["result"], format!("{asked} mails requested"));
        }
        let both = t.get(&format!("/tasks/{id}?task_id={id}"), Some(&admin)).await.expect(200);
        assert!(both.body["result"].is_object(), "{}", both.text);
    }
}
