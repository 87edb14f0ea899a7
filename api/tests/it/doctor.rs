//! `parkade-api doctor`: a healthy system, then one problem after another.

use devstack::{MailSink, mail::Options};
use serde_json::Value;
use shared::operations::backup;
use testkit::{Engine, TestApp, binary};
use tokio::process::Command;

use crate::support::change;

/// Whether the doctor reports no problem, and its findings.
async fn doctor(t: &TestApp, changed: &[(&str, &str)]) -> (bool, Vec<Value>) {
    let mut command = Command::new(binary("parkade-api"));
    command.args(["doctor", "--json"]).env_clear().envs(t.settings().iter().cloned());
    let output = command.envs(changed.iter().copied()).current_dir(t.folder()).output().await.unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), answer["findings"].as_array().unwrap().clone())
}

fn bad<'a>(findings: &'a [Value], level: &str) -> Vec<(&'a str, &'a str)> {
    let these = findings.iter().filter(|one| one["level"] == level);
    these.map(|one| (one["area"].as_str().unwrap(), one["what"].as_str().unwrap())).collect()
}

/// Fails unless the doctor reports this finding with a remedy.
async fn assert_finds(t: &TestApp, changed: &[(&str, &str)], level: &str, area: &str, words: &str) {
    let (is_well, findings) = doctor(t, changed).await;
    let found = findings.iter().find(|one| {
        one["level"] == level && one["area"] == area && one["what"].as_str().unwrap().contains(words)
    });
    let found = found.unwrap_or_else(|| panic!("no {level} of {area} with {words:?}: {findings:#?}"));
    assert!(found["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{found}");
    if level == "problem" {
        assert!(!is_well, "the exit code reports the problem");
    }
}

#[testkit::both_databases]
async fn doctor_reports_nothing_on_a_healthy_system(t: TestApp) {
    let worker = t.work();
    let backups = t.folder().join("backups");
    std::fs::create_dir_all(&backups).unwrap();
    std::fs::create_dir_all(t.folder().join("files")).unwrap();
    std::fs::write(backups.join(backup::file_name(t.app.clock.now())), "").unwrap();
    let sink = MailSink::start().await.unwrap();
    let port = sink.addr().port().to_string();
    let all = [
        ("BACKUP_FOLDER", backups.to_str().unwrap()),
        ("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("MAIL_SERVER", "127.0.0.1"),
        ("MAIL_PORT", &port),
        ("MAIL_USE_TLS", "false"),
    ];
    t.eventually("the worker is registered", async || {
        !bad(&doctor(&t, &all).await.1, "problem").iter().any(|(area, _)| *area == "worker")
    })
    .await;
    let (is_well, findings) = doctor(&t, &all).await;
    // The PostgreSQL server of the tests runs with fsync off, which the doctor reports.
    let expected = if t.engine == Engine::Postgres { vec!["database"] } else { Vec::new() };
    let areas = |level| bad(&findings, level).iter().map(|(area, _)| *area).collect::<Vec<_>>();
    assert_eq!((areas("problem"), is_well), (expected.clone(), expected.is_empty()), "{findings:#?}");
    assert!(areas("warning").is_empty(), "{findings:#?}");
    assert!(findings.len() >= 18, "{findings:#?}");
    assert!(sink.messages().is_empty(), "no mail is sent");
    worker.stop().await;
}

#[testkit::both_databases]
async fn doctor_reports_database_down_behind_or_ahead(t: TestApp) {
    let closed = devstack::free_port().unwrap();
    let away = match t.engine {
        Engine::Sqlite => format!("sqlite://{}/a-file/parkade.db?mode=rwc", t.folder().display()),
        Engine::Postgres => format!("postgres://u:very-secret@127.0.0.1:{closed}/x"),
    };
    std::fs::write(t.folder().join("a-file"), "").unwrap();
    if t.engine == Engine::Postgres {
        assert_finds(&t, &[("DATABASE_URL", &away)], "problem", "database", "cannot connect").await;
        let (_, findings) = doctor(&t, &[("DATABASE_URL", &away)]).await;
        assert!(!findings.iter().any(|one| one.to_string().contains("very-secret")));
    } else {
        assert_finds(&t, &[("DATABASE_URL", &away)], "warning", "database", "database file does not exist")
            .await;
        assert_finds(
            &t,
            &[("DATABASE_URL", "sqlite://a-file?mode=rwc"), ("APP_ENV", "production")],
            "warning",
            "database",
            "in production",
        )
        .await;
    }
    t.driver("Asha").await;
    change(&t, "UPDATE jobs SET state = 'failed'", []).await.unwrap();
    assert_finds(&t, &[], "warning", "database", "1 dead job").await;
    change(&t, "DELETE FROM seaql_migrations WHERE version LIKE 'm17%'", []).await.unwrap();
    assert_finds(&t, &[], "warning", "database", "1 migration behind").await;
    change(&t, "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99_to_come', 1)", [])
        .await
        .unwrap();
    assert_finds(&t, &[], "problem", "database", "m99_to_come").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_redis_and_worker_problems() {
    let t = TestApp::start(Engine::Sqlite).await;
    assert_finds(&t, &[], "problem", "worker", "no worker takes jobs from the queue mail").await;
    let closed = devstack::free_port().unwrap().to_string();
    assert_finds(&t, &[("REDIS_PORT", &closed)], "problem", "redis", "cannot be used").await;
    assert_finds(&t, &[("REDIS_PORT", &closed)], "warning", "worker", "cannot be checked").await;
    let redis = devstack::Redis::start().await.unwrap();
    let port = redis.port().to_string();
    let mut connection =
        redis::Client::open(redis.url(0)).unwrap().get_multiplexed_async_connection().await.unwrap();
    for (name, value) in [("appendonly", "no"), ("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value).exec_async(&mut connection).await.unwrap();
    }
    assert_finds(&t, &[("REDIS_PORT", &port)], "warning", "redis", "no append-only file").await;
    assert_finds(&t, &[("REDIS_PORT", &port)], "problem", "redis", "allkeys-lru").await;
    redis.pause().unwrap();
    assert_finds(&t, &[("REDIS_PORT", &port)], "problem", "redis", "cannot be used").await;
    redis.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_settings_mail_file_and_backup_problems() {
    let t = TestApp::start(Engine::Sqlite).await;
    let sink = MailSink::start_with(
        "127.0.0.1:0".parse().unwrap(),
        Options { login: Some(("asha".into(), "right".into())), ..Options::default() },
    )
    .await
    .unwrap();
    let (port, closed) = (sink.addr().port().to_string(), devstack::free_port().unwrap().to_string());
    let server = [("MAIL_SERVER", "127.0.0.1"), ("MAIL_PORT", &*port), ("MAIL_USE_TLS", "false")];
    std::fs::write(t.folder().join("a-file"), "").unwrap();
    let old = t.folder().join("old");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("parkade-20200101T000000Z.backup"), "").unwrap();
    let login = [server.as_slice(), &[("MAIL_USERNAME", "asha"), ("MAIL_PASSWORD", "wrong")]].concat();
    let production = ("APP_ENV", "production");
    for (changed, level, area, words) in [
        (&[("JWT_SECRET_KEY", "")][..], "problem", "settings", "is missing"),
        (
            &[("JWT_SECRET_KEY", "abababababababababababababababababab")],
            "problem",
            "settings",
            "can be guessed",
        ),
        (&[production], "problem", "settings", "unencrypted"),
        (&[production, ("PUBLIC_URL", "https://localhost")], "problem", "settings", "this machine only"),
        (&[production], "warning", "settings", "http://localhost:5173"),
        (&[production], "problem", "mail", "MAIL_SERVER is not set"),
        (&[("MAIL_SERVER", "127.0.0.1"), ("MAIL_PORT", &closed)], "problem", "mail", "127.0.0.1"),
        (&server[..2], "problem", "mail", "STARTTLS"),
        (&login, "problem", "mail", "MAIL_PASSWORD"),
        (&[("UPLOAD_FOLDER", "a-file/below")], "problem", "files", "not writable"),
        (&[("ALERT_DISK_PERCENT", "1")], "warning", "files", "is used"),
        (&[], "warning", "backup", "cannot be checked"),
        (&[("BACKUP_FOLDER", "nowhere")], "warning", "backup", "contains no backup"),
        (&[("BACKUP_FOLDER", "old")], "warning", "backup", "hours old"),
    ] {
        assert_finds(&t, changed, level, area, words).await;
    }
    let mut command = Command::new(binary("parkade-api"));
    command.arg("doctor").env_clear().envs(t.settings().iter().cloned()).current_dir(t.folder());
    let output = command.output().await.unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("PROBLEM  worker    no worker takes jobs")
            && said.contains("→ start parkade-worker run"),
        "{said}"
    );
    assert!(error.contains("there are 3 problems"), "{error}");
}
