//! Startup of API processes.

use std::time::Duration;

use devstack::{Postgres, Redis, tls::Authority};
use sea_orm::ConnectionTrait;
use serde_json::json;
use testkit::{Engine, Processes, TestApp};

use crate::support::{Client, number};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_starts_migrate_postgres_once() {
    let t = TestApp::start(Engine::Postgres).await;
    let server = testkit::postgres().await;
    let url = server.create_database("never_migrated").await.unwrap();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("ADMIN_EMAIL", "boss@example.com"),
        ("ADMIN_PASSWORD", "Correct-horse-1"),
    ];
    let processes = Processes::of(&t, &settings);
    // Each call returns once its process is ready, and panics with the log otherwise.
    let (a, b, c) = tokio::join!(processes.api(), processes.api(), processes.api());
    let ask = async |sql: &str| server.query("never_migrated", sql).await.unwrap().trim().to_owned();
    let expected = number(&t, "SELECT COUNT(*) AS n FROM seaql_migrations").await;
    assert_eq!(usize::try_from(expected).unwrap(), migration::names().len());
    assert_eq!(ask("SELECT COUNT(*) FROM seaql_migrations").await, expected.to_string());
    assert_eq!(
        ask("SELECT COUNT(*) FROM users WHERE role = 'admin'").await,
        "1",
        "only one of the three creates the administrator"
    );
    let login = json!({ "email": "boss@example.com", "password": "Correct-horse-1" });
    let mut tokens = Vec::new();
    for (_, base) in [&a, &b, &c] {
        let (status, body) = Client::of(base).post("/auth/login", "", login.clone()).await;
        assert_eq!(status, 200, "{body}");
        tokens.push(body["token"].as_str().unwrap().to_owned());
    }
    for token in &tokens {
        for (_, base) in [&a, &b, &c] {
            assert_eq!(
                Client::of(base).get("/auth/sessions", token).await.0,
                200,
                "tokens are valid in every process"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_starts_migrate_sqlite_once() {
    let t = TestApp::start(Engine::Sqlite).await;
    let url = format!("sqlite://{}?mode=rwc", t.folder().join("never/migrated.db").display());
    let processes = Processes::of(&t, &[("DATABASE_URL", &url)]);
    let (a, b) = tokio::join!(processes.api(), processes.api());
    let form = json!({ "username": "Asha", "email": "asha@example.com", "password": testkit::PASSWORD });
    assert_eq!(Client::of(&a.1).post("/auth/register", "", form.clone()).await.0, 201);
    assert_eq!(
        Client::of(&b.1).post("/auth/register", "", form).await.0,
        409,
        "both processes use the same file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn api_and_worker_wait_for_their_servers() {
    let mut redis = Redis::start().await.unwrap();
    let mut postgres = Postgres::start_with(&["-c", "fsync=off"]).await.unwrap();
    let url = postgres.create_database("parkade").await.unwrap();
    let t = TestApp::start(Engine::Sqlite).await;
    redis.kill().await.unwrap();
    postgres.kill().await.unwrap();
    let port = redis.port().to_string();
    let processes = Processes::of(&t, &[("DATABASE_URL", &url), ("REDIS_PORT", &port)]);
    let worker = processes.worker();
    let starting = async {
        testkit::eventually("the worker logs that it waits for the database", || async {
            worker.log().contains("the database is not available yet; retrying")
        })
        .await;
        postgres.restart().await.unwrap();
        redis.restart().await.unwrap();
    };
    let ((_api, base), ()) = tokio::join!(processes.api(), starting);
    let form = json!({ "username": "Asha", "email": "asha@example.com", "password": testkit::PASSWORD });
    let client = Client::of(&base);
    assert_eq!(client.post("/auth/register", "", form.clone()).await.0, 201);
    let (_, login) = client.post("/auth/login", "", form).await;
    let token = login["token"].as_str().unwrap();
    let (status, asked) = client.post("/export/csv/request", token, json!({})).await;
    assert_eq!(status, 202, "{asked}");
    let task = format!("/tasks/{}", asked["task_id"].as_str().unwrap());
    testkit::eventually("the worker runs jobs", || async {
        client.get(&task, token).await.1["state"] == "SUCCESS"
    })
    .await;
    worker.terminate().unwrap();
    assert_eq!(worker.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", worker.log());
}

/// `sslmode=verify-full` of `DATABASE_URL`, against a real server.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_tls_needs_a_trusted_certificate() {
    let server = Postgres::start_with(&["-c", "fsync=off"]).await.unwrap();
    let url = server.create_database("parkade").await.unwrap();
    let [ours, other] = [(), ()].map(|()| Authority::new().unwrap());
    let (certificate, key) = ours.certificate(&["127.0.0.1"]).unwrap();
    // The server writes the files itself, as it only reads files that it owns.
    for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
        let lines = format!("COPY (SELECT unnest(string_to_array($${}$$, E'\\n')))", pem.trim_end());
        server.query("postgres", &format!("{lines} TO PROGRAM 'umask 077; cat > {name}'")).await.unwrap();
    }
    server.query("postgres", "ALTER SYSTEM SET ssl = on").await.unwrap();
    server.query("postgres", "SELECT pg_reload_conf()").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let connect = async |authority: &Authority| {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let url = format!("{url}?sslmode=verify-full&sslrootcert={}", file.display());
        let db = shared::platform::db::Db::connect(&url, 1).await?;
        let text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let row = db.read().query_one_raw(shared::platform::db::sql(db.read(), text, [])).await?.unwrap();
        let is_encrypted = row.try_get::<bool>("", "ssl")?;
        db.close().await;
        Ok::<_, shared::Error>(is_encrypted)
    };
    testkit::eventually("the server speaks TLS", async || connect(&ours).await.is_ok()).await;
    assert!(connect(&ours).await.unwrap(), "the connection is encrypted");
    let refused = connect(&other).await.unwrap_err().chain();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
}
