//! Redis as others run it: with a password, behind TLS, and looked after by Sentinels.

use std::time::Duration;

use devstack::{Authority, Redis, Sentinel};
use testkit::{Driver, Engine, Processes, TestApp};

use crate::support::{driver_with, reaches, request_export, within};

/// The process and the application of the test share the settings: a job is asked for here and done there.
async fn a_job_is_done(t: &TestApp, driver: &Driver) {
    let id = request_export(t, driver).await;
    reaches(t, id, "succeeded").await;
    t.app.redis.answers().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_behind_tls_with_a_password_is_used_if_its_authority_is_known() {
    let (authority, folder) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.certificate(&["127.0.0.1"]).unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let (ca, certificate, key) =
        (file("ca.pem", authority.pem()), file("server.pem", &certificate), file("server.key", &key));
    let port = devstack::free_port().unwrap().to_string();
    let options = [
        ["--tls-port", &port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &ca],
        ["--tls-auth-clients", "no"],
    ];
    let redis = Redis::start_with(options.as_flattened()).await.unwrap();
    redis.configure("requirepass", "p@ss/word").await.unwrap();

    let by_parts = [("REDIS_PORT", port.as_str()), ("REDIS_PASSWORD", "p@ss/word"), ("REDIS_CA_FILE", &ca)];
    let t = TestApp::start_with(Engine::Sqlite, &by_parts).await;
    let worker = Processes::of(&t, &[]).worker();
    a_job_is_done(&t, &driver_with(&t, 3).await).await;
    worker.terminate().unwrap();
    assert_eq!(worker.wait(Duration::from_secs(30)).await.unwrap(), Some(0), "{}", worker.log());

    let url = format!("rediss://default:p%40ss%2Fword@127.0.0.1:{port}/0");
    let by_url = t.second_process(&[("CACHE_REDIS_URL", &url)]).await;
    by_url.app.redis.ping().await.unwrap();
    let wrong = t.second_process(&[("REDIS_PASSWORD", "another")]).await;
    assert!(wrong.app.redis.ping().await.is_err());
    let refused = wrong.app.redis.ping().await.unwrap_err().chain();
    assert!(refused.contains("a moment ago"), "nobody tries at each request: {refused}");
    let stranger = file("stranger.pem", Authority::new().unwrap().pem());
    let deceived = t.second_process(&[("REDIS_CA_FILE", &stranger)]).await;
    assert!(deceived.app.redis.ping().await.is_err(), "a server that a stranger vouches for");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_sentinels_choose_another_master_bookings_and_jobs_go_on() {
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
    a_job_is_done(&t, &courier).await;
    assert!(port_of(&t).await == master.port());

    master.kill().await.unwrap();
    let booked = t.book(&asha, lot).await;
    let waiting = request_export(&t, &courier).await;
    t.release(&asha, booked).await.expect(200);
    within(Duration::from_secs(30), "the replica is the master", || async {
        t.app.redis.answers().await.is_ok()
    })
    .await;
    assert!(port_of(&t).await == replica.port());
    reaches(&t, waiting, "succeeded").await;
    a_job_is_done(&t, &courier).await;
}

/// Of the server that is used.
async fn port_of(t: &TestApp) -> u16 {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("port");
    let ask = async |mut redis| ask.query_async(&mut redis).await;
    let (_, port): (String, u16) = t.app.redis.ask(ask).await.unwrap();
    port
}
