//! Redis with a password, behind TLS, and with Sentinels.

use std::time::Duration;

use devstack::{Authority, Redis, Sentinel};
use tempfile::TempDir;
use testkit::{Driver, Engine, Processes, TestApp};

use crate::support::{driver_with, reaches, request_export, within};

/// Enqueues a job in the API and runs it in a worker, which shows that both use the settings.
async fn run_job(t: &TestApp, driver: &Driver) {
    let id = request_export(t, driver).await;
    reaches(t, id, "succeeded").await;
    t.app.redis.ping_all().await.unwrap();
}

/// The files that a server needs for TLS on a port.
struct Tls {
    port: String,
    ca: String,
    certificate: String,
    key: String,
    _folder: TempDir,
}

impl Tls {
    fn new() -> Self {
        let authority = Authority::new().unwrap();
        let (certificate, key) = authority.certificate(&["127.0.0.1"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name).display().to_string()
        };
        let (ca, port) = (file("ca.pem", authority.pem()), devstack::free_port().unwrap().to_string());
        let (certificate, key) = (file("server.pem", &certificate), file("server.key", &key));
        Self { port, ca, certificate, key, _folder: folder }
    }

    fn options(&self) -> [(&str, String); 5] {
        [
            ("tls-port", self.port.clone()),
            ("tls-cert-file", self.certificate.clone()),
            ("tls-key-file", self.key.clone()),
            ("tls-ca-cert-file", self.ca.clone()),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_tls_needs_a_trusted_certificate() {
    let tls = Tls::new();
    let (port, ca) = (tls.port.as_str(), tls.ca.as_str());
    let options = tls.options().map(|(name, value)| [format!("--{name}"), value]);
    let options: Vec<&str> = options.as_flattened().iter().map(String::as_str).collect();
    let redis = Redis::start_with(&options).await.unwrap();
    redis.configure("requirepass", "p@ss/word").await.unwrap();

    let by_parts = [("REDIS_PORT", port), ("REDIS_PASSWORD", "p@ss/word"), ("REDIS_CA_FILE", ca)];
    let t = TestApp::start_with(Engine::Sqlite, &by_parts).await;
    let worker = Processes::of(&t, &[]).worker();
    run_job(&t, &driver_with(&t, 3).await).await;
    worker.terminate().unwrap();
    assert_eq!(worker.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", worker.log());

    let url = format!("rediss://default:p%40ss%2Fword@127.0.0.1:{port}/0");
    let by_url = t.second_process(&[("CACHE_REDIS_URL", &url)]).await;
    by_url.app.redis.ping().await.unwrap();
    let wrong = t.second_process(&[("REDIS_PASSWORD", "another")]).await;
    assert!(wrong.app.redis.ping().await.is_err());
    let refused = wrong.app.redis.ping().await.unwrap_err().chain();
    assert!(refused.contains("a moment ago"), "no new connection attempt right after a failure: {refused}");
    let stranger = Tls::new();
    let deceived = t.second_process(&[("REDIS_CA_FILE", &stranger.ca)]).await;
    assert!(deceived.app.redis.ping().await.is_err(), "a certificate from an unknown authority is rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_failover_keeps_bookings_and_jobs_going() {
    let master = Redis::start().await.unwrap();
    let replica = Redis::start_with(&["--replicaof", &format!("127.0.0.1 {}", master.port())]).await.unwrap();
    let sentinel = Sentinel::of(&master, "parking").await.unwrap();
    within(Duration::from_secs(30), "the Sentinel knows the replica", || async {
        sentinel.replicas("parking").await.unwrap() == 1
    })
    .await;
    let nowhere = devstack::free_port().unwrap();
    let sentinels = format!("127.0.0.1:{nowhere},127.0.0.1:{}", sentinel.port());
    let settings = [("REDIS_SENTINELS", sentinels.as_str()), ("REDIS_SENTINEL_SERVICE", "parking")];
    let t = TestApp::start_with(Engine::Sqlite, &settings).await;
    let _worker = Processes::of(&t, &[]).worker();
    let (asha, courier, lot) = (t.driver("Asha").await, driver_with(&t, 3).await, t.lot(2).await);
    run_job(&t, &courier).await;
    assert!(port_of(&t).await == master.port());

    master.kill().await.unwrap();
    let booked = t.book(&asha, lot).await;
    let waiting = request_export(&t, &courier).await;
    t.release(&asha, booked).await.expect(200);
    within(Duration::from_secs(30), "the replica is the master", || async {
        t.app.redis.ping_all().await.is_ok()
    })
    .await;
    assert!(port_of(&t).await == replica.port());
    reaches(&t, waiting, "succeeded").await;
    run_job(&t, &courier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinel_tls_needs_password_and_trusted_certificate() {
    let (tls, master) = (Tls::new(), Redis::start().await.unwrap());
    let lines = tls.options().map(|(name, value)| format!("{name} {value}"));
    let lines: Vec<String> = lines.into_iter().chain(["requirepass secret".to_owned()]).collect();
    let _sentinel = Sentinel::with(&master, "parking", &lines).await.unwrap();
    // The Redis servers use no TLS, so their URLs say `redis://`. The authority is that of the Sentinels.
    let (sentinels, stranger) = (format!("127.0.0.1:{}", tls.port), Tls::new());
    let right = [
        ("REDIS_SENTINELS", sentinels.as_str()),
        ("REDIS_SENTINEL_SERVICE", "parking"),
        ("REDIS_SENTINEL_PASSWORD", "secret"),
        ("REDIS_SENTINEL_TLS", "true"),
        ("REDIS_CA_FILE", &tls.ca),
        ("CACHE_REDIS_URL", "redis://nowhere/0"),
        ("QUEUE_REDIS_URL", "redis://nowhere/1"),
        ("NOTIFICATION_REDIS_URL", "redis://nowhere/2"),
    ];
    let t = TestApp::start_with(Engine::Sqlite, &right).await;
    t.app.redis.ping_all().await.unwrap();
    for wrong in [
        ("REDIS_SENTINEL_PASSWORD", "another"),
        ("REDIS_SENTINEL_TLS", "false"),
        ("REDIS_CA_FILE", &stranger.ca),
    ] {
        let t = t.second_process(&[wrong]).await;
        assert!(t.app.redis.ping().await.is_err(), "{wrong:?}");
    }
}

/// The port of the server in use.
async fn port_of(t: &TestApp) -> u16 {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("port");
    let ask = async |mut redis| ask.query_async(&mut redis).await;
    let (_, port): (String, u16) = t.app.redis.query(ask).await.unwrap();
    port
}
