//! Graceful shutdown of API processes: no request is lost.

use std::time::{Duration, Instant};

use devstack::Process;
use testkit::{Engine, Processes, TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A keep-alive connection, as proxies hold them.
struct Connection(TcpStream);

impl Connection {
    async fn open(base: &str) -> Self {
        let address = base.strip_prefix("http://").unwrap().strip_suffix("/api").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a GET request and returns the head of the answer in lower case.
    async fn get(&mut self, path: &str) -> String {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 16 * 1024];
        let length = self.0.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).to_ascii_lowercase()
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(0) | Err(_))
    }
}

async fn assert_clean_exit(process: &Process) {
    let code = process.wait(Duration::from_secs(15)).await.unwrap();
    assert_eq!(code, Some(0), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_api_drains_before_it_closes() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (process, base) = Processes::of(&t, &[("DRAIN_SECONDS", "2")]).api().await;
    let (mut busy, mut idle) = (Connection::open(&base).await, Connection::open(&base).await);
    assert!(!busy.get("/api/parking-lots").await.contains("connection: close"));
    assert!(idle.get("/health/ready").await.starts_with("http/1.1 200"));
    let asked = Instant::now();
    process.terminate().unwrap();
    let ready = format!("{base}/health/ready");
    testkit::eventually("the API is not ready", || async {
        reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    let answer = busy.get("/api/parking-lots").await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(busy.is_closed().await);
    assert!(reqwest::get(format!("{base}/health/live")).await.unwrap().status().is_success());
    assert!(idle.is_closed().await, "idle connections are closed, too");
    assert!(asked.elapsed() >= Duration::from_secs(2), "not before the proxy has noticed");
    assert_clean_exit(&process).await;
    assert!(asked.elapsed() < Duration::from_secs(12), "{:?}", asked.elapsed());
    assert!(reqwest::get(&ready).await.unwrap_err().is_connect());
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_do_not_delay_the_stop() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (process, base) = Processes::of(&t, &[("DRAIN_SECONDS", "0")]).api().await;
    let driver = t.driver("Asha").await;
    let export = t.post("/export/csv/request", Some(&driver), serde_json::json!({})).await.expect(202);
    let url = format!("{base}/tasks/{}/events", export.body["task_id"].as_str().unwrap());
    let mut events = reqwest::Client::new().get(url).bearer_auth(&driver.token).send().await.unwrap();
    assert!(events.chunk().await.unwrap().is_some(), "the current state of the job");
    process.terminate().unwrap();
    while let Some(more) = events.chunk().await.unwrap() {
        assert!(!more.is_empty());
    }
    assert_clean_exit(&process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_skips_the_drain_delay() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (process, _) = Processes::of(&t, &[("DRAIN_SECONDS", "60")]).api().await;
    let asked = Instant::now();
    process.interrupt().unwrap();
    assert_clean_exit(&process).await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}
