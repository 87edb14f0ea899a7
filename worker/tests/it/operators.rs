//! `parkade-worker jobs` as a process with access to the database only, without Redis or secrets.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use shared::{
    jobs::{NewJob, control},
    operations::cleanup::CleanUp,
    parking::notifications,
    platform::db::at,
};
use testkit::{TestApp, binary};
use uuid::Uuid;

use crate::support::{execute, insert, people, reaches};

/// Runs a command, which must finish quickly.
fn jobs(t: &TestApp, arguments: &[&str]) -> Output {
    let closed = devstack::free_port().unwrap().to_string();
    let settings = t.settings().iter().filter(|(name, _)| name != "JWT_SECRET_KEY");
    let settings = settings.map(|(name, value)| (name, if name == "REDIS_PORT" { &closed } else { value }));
    let begun = Instant::now();
    let output = Command::new(binary("parkade-worker"))
        .arg("jobs")
        .args(arguments)
        .env_clear()
        .envs(settings)
        .current_dir(t.folder())
        .output()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{arguments:?} took {:?}", begun.elapsed());
    output
}

#[track_caller]
fn succeeds(t: &TestApp, arguments: &[&str]) -> String {
    let output = jobs(t, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn as_json(t: &TestApp, arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(t, &[arguments, &["--json"]].concat())).unwrap()
}

#[track_caller]
fn fails(t: &TestApp, arguments: &[&str], why: &str) {
    let output = jobs(t, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(why), "{arguments:?}: {said}");
}

async fn dead(t: &TestApp, job: &NewJob) -> Uuid {
    let id = insert(t, job).await.id;
    let text =
        "UPDATE jobs SET state = 'failed', attempt = 10, error = 'no route', finished_at = $2 WHERE id = $1";
    execute(t, text, [id.into(), at(t.app.clock.now())]).await;
    id
}

fn clean_up(t: &TestApp) -> NewJob {
    NewJob::of(&CleanUp { due: t.app.clock.now() }).unwrap()
}

async fn state(t: &TestApp, id: Uuid) -> String {
    control::find_details(&t.app, id).await.unwrap().state.to_string()
}

#[testkit::both_databases]
async fn cli_lists_shows_requeues_cancels_and_purges_jobs(t: TestApp) {
    let user = people(&t, 1).await[0];
    let (first, second, third) = (
        dead(&t, &clean_up(&t)).await,
        dead(&t, &clean_up(&t)).await,
        dead(&t, &notifications::welcome(user).unwrap()).await,
    );
    let list = as_json(&t, &["list"]);
    let ids: Vec<_> = list["dead"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!(ids, [json!(third), json!(second), json!(first)]);
    assert_eq!(
        as_json(&t, &["list", "--limit", "1", "--after", &third.to_string()])["dead"][0]["id"],
        json!(second)
    );
    let text = succeeds(&t, &["list"]);
    assert!(
        text.starts_with("queues: 3\n") && text.contains("\nrunning: 0\n") && text.contains("\ndead: 3\n"),
        "{text}"
    );
    assert!(text.lines().any(|line| line.contains("send-welcome") && line.ends_with("no route")), "{text}");

    let shown = as_json(&t, &["show", &first.to_string()]);
    assert_eq!((&shown["job"]["state"], &shown["job"]["kind"]), (&json!("failed"), &json!("clean-up")));
    assert!(shown["job"]["payload"]["due"].is_string());
    assert!(succeeds(&t, &["show", &first.to_string()]).contains("no route"));

    assert_eq!(as_json(&t, &["requeue", &first.to_string()]), json!({ "requeued": 1 }));
    assert_eq!(state(&t, first).await, "queued");
    assert_eq!(succeeds(&t, &["cancel", &first.to_string()]), format!("cancelled: {first}\n"));
    assert_eq!(state(&t, first).await, "cancelled");
    assert_eq!(as_json(&t, &["requeue", "--all", "--kind", "send-welcome"]), json!({ "requeued": 1 }));
    assert_eq!((state(&t, second).await, state(&t, third).await), ("failed".into(), "queued".into()));
    assert_eq!(as_json(&t, &["purge", "--all"]), json!({ "purged": 1 }));
    let last = dead(&t, &clean_up(&t)).await;
    assert_eq!(succeeds(&t, &["purge", &last.to_string()]), "purged: 1\n");

    let nothing = Uuid::nil().to_string();
    for command in ["show", "requeue", "cancel", "purge"] {
        fails(&t, &[command, &nothing], "job not found");
    }
    fails(&t, &["requeue", &third.to_string()], "the job is not dead");
    fails(&t, &["cancel", &first.to_string(), "--nonsense"], "unexpected argument");
    fails(&t, &["purge"], "required");
    fails(&t, &["purge", &first.to_string(), "--all"], "cannot be used with");
}

#[testkit::both_databases]
async fn cli_pauses_resumes_and_runs_schedules(t: TestApp) {
    assert_eq!(succeeds(&t, &["pause", "mail"]), "paused: mail\n");
    assert_eq!(succeeds(&t, &["pause", "file-cleanup"]), "paused: file-cleanup\n");
    let queues = as_json(&t, &["list"])["queues"].clone();
    let paused: Vec<_> = queues
        .as_array()
        .unwrap()
        .iter()
        .filter(|queue| !queue["paused_at"].is_null())
        .map(|queue| queue["name"].clone())
        .collect();
    assert_eq!(paused, ["mail"]);
    let schedules = as_json(&t, &["schedules"])["schedules"].clone();
    let next: Vec<_> = schedules
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap().to_owned(), one["next_run"].is_string()))
        .collect();
    assert_eq!(
        next,
        [("daily-reminders".into(), true), ("monthly-reports".into(), true), ("file-cleanup".into(), false)]
    );
    assert!(succeeds(&t, &["schedules"]).contains("0 2 * * * Asia/Kolkata"));
    succeeds(&t, &["resume", "mail"]);
    succeeds(&t, &["resume", "file-cleanup"]);
    assert!(as_json(&t, &["schedules"])["schedules"][2]["paused_at"].is_null());

    let id = as_json(&t, &["run", "file-cleanup"])["job"].clone();
    assert_eq!(as_json(&t, &["run", "file-cleanup"])["job"], id, "the job is already queued");
    let worker = t.work();
    reaches(&t, id.as_str().unwrap().parse().unwrap(), "succeeded").await;
    worker.stop().await;
    assert_eq!(as_json(&t, &["schedules"])["schedules"][2]["last_state"], "succeeded");

    fails(
        &t,
        &["pause", "nothing"],
        "there is no queue or schedule called \"nothing\"; there are mail, exports",
    );
    fails(&t, &["run", "mail"], "mail is a queue");
}

#[testkit::both_databases(together)]
async fn list_shows_jobs_to_retry_and_an_outage(t: TestApp) {
    let ids = people(&t, 2).await;
    let retried = insert(&t, &notifications::welcome(ids[0]).unwrap()).await.id;
    let held = insert(&t, &notifications::welcome(ids[1]).unwrap()).await.id;
    let list = as_json(&t, &["list"]);
    assert_eq!((&list["retrying"], &list["mail_server_outage"]), (&json!([]), &Value::Null));
    let now = t.app.clock.now();
    let text = "UPDATE jobs SET attempt = $2, held = $3, error = $4, run_at = $5 WHERE id = $1";
    let later = now + chrono::TimeDelta::minutes(5);
    for (id, attempt, is_held, error, at_) in [
        (retried, 3, false, "rejected for now: 450 greylisted", now),
        (held, 0, true, "not sent: away", later),
    ] {
        let values = [id.into(), attempt.into(), is_held.into(), error.into(), at(at_)];
        execute(&t, text, values).await;
    }
    let text = "INSERT INTO mail_outages (id, since, reason, needs_repair, failures, probe_at)
         VALUES (1, $1, 'not sent: away', FALSE, 4, $1)";
    execute(&t, text, [at(now)]).await;
    let list = as_json(&t, &["list"]);
    assert_eq!(list["retrying"][0]["error"], "rejected for now: 450 greylisted");
    assert_eq!(list["retrying"][0]["attempt"], 3);
    assert_eq!((&list["retrying"][1]["id"], &list["retrying"][1]["held"]), (&json!(held), &json!(true)));
    assert_eq!(list["mail_server_outage"]["reason"], "not sent: away");
    let plain = succeeds(&t, &["list"]);
    for part in ["mail server outage:", "retrying: 2", "next try", "450 greylisted"] {
        assert!(plain.contains(part), "{part} in {plain}");
    }
}
