//! Responses that are ready before the client has sent its whole body reach the client.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Url;
use serde_json::json;
use testkit::{Driver, Engine, TestApp, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use crate::support::{at_once, many_drivers};

/// Between head and body, as with clients that write them separately.
const PAUSE: Duration = Duration::from_millis(20);

const SMALL: &[u8] = b"{\"lot_id\":1}";

/// A request without its body.
struct Head {
    line: &'static str,
    token: String,
    kind: &'static str,
    more: &'static str,
}

impl Head {
    fn of(line: &'static str) -> Self {
        Self { line, token: String::new(), kind: "application/json", more: "" }
    }

    fn by(self, driver: &Driver) -> Self {
        Self { token: format!("authorization: Bearer {}\r\n", driver.token), ..self }
    }

    fn with_length(&self, length: usize) -> String {
        let Self { line, token, kind, more } = self;
        format!(
            "{line} HTTP/1.1\r\nhost: x\r\n{token}content-type: {kind}\r\n{more}content-length: {length}\r\n\r\n"
        )
    }
}

/// A response as it arrived.
#[derive(Debug)]
struct Raw {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

struct Connection(TcpStream);

impl Connection {
    async fn open(t: &TestApp) -> Self {
        let url: Url = t.url("/").parse().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the connection is open");
    }

    /// Writes head and body apart, and returns how long the response took after that.
    async fn send(&mut self, head: &Head, body: &[u8]) -> (Raw, Duration) {
        self.write(head.with_length(body.len())).await;
        tokio::time::sleep(PAUSE).await;
        self.write(body).await;
        let sent = Instant::now();
        (self.read().await, sent.elapsed())
    }

    async fn read(&mut self) -> Raw {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a response"));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.expect("the body of the response");
        Raw { status, head, body: String::from_utf8(body).unwrap() }
    }

    async fn is_alive(&mut self) {
        self.write("GET /api/health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(self.read().await.status, 200);
    }

    async fn is_closed(&mut self) {
        assert_eq!(self.0.read(&mut [0]).await.expect("an orderly end"), 0);
    }
}

/// Occupies the only place of the application until it is aborted.
async fn occupy(t: &TestApp, driver: &Driver, lot: i64) -> (JoinHandle<()>, impl Sized) {
    let writing = t.app.db.begin().await.unwrap();
    let request = t.request(reqwest::Method::POST, "/booking/book-spot", Some(driver));
    let request = request.json(&json!({ "lot_id": lot }));
    let booking =
        tokio::spawn(
            async move { while request.try_clone().unwrap().send().await.unwrap().status() == 503 {} },
        );
    eventually("the API is at capacity", || async { t.get("/parking-lots", None).await.status == 503 }).await;
    (booking, writing)
}

/// Sends the request ten times on one connection, as the machine may be busy at times, and checks that it stays open.
async fn assert_readable(t: &TestApp, head: &Head, body: &[u8], status: u16) {
    let mut connection = Connection::open(t).await;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let (answer, took) = connection.send(head, body).await;
        assert_eq!(answer.status, status, "{}: {}", head.line, answer.body);
        assert!(!answer.closes(), "{}", answer.head);
        fastest = fastest.min(took);
    }
    assert!(fastest < Duration::from_millis(20), "{}: {fastest:?} after the last byte", head.line);
    connection.is_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn early_answers_reach_clients_that_write_twice() {
    let t = TestApp::start_with(Engine::Sqlite, &[("RATE_LIMIT_LOGIN", "1/3600")]).await;
    let asha = t.driver("Asha").await;
    let book = || Head::of("POST /api/booking/book-spot");
    let limited = Head::of("POST /api/auth/reset-password");
    Connection::open(&t).await.send(&limited, b"{}").await;
    let text = Head { kind: "text/plain", ..book().by(&asha) };
    for (head, body, status) in [
        (book(), SMALL.to_vec(), 401),
        (Head::of("POST /api/parking-lots").by(&asha), SMALL.to_vec(), 403),
        (Head::of("POST /api/nowhere"), SMALL.to_vec(), 404),
        (Head::of("POST /api/nowhere"), vec![b'x'; 200_000], 404),
        (Head::of("PUT /api/booking/book-spot").by(&asha), SMALL.to_vec(), 405),
        (book().by(&asha), vec![b'x'; 65 * 1024], 413),
        (book().by(&asha), vec![b'x'; 1024 * 1024], 413),
        (text, SMALL.to_vec(), 415),
        (limited, SMALL.to_vec(), 429),
        (Head::of("GET /api/parking-lots"), SMALL.to_vec(), 200),
    ] {
        assert_readable(&t, &head, &body, status).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_capacity_the_503_is_readable_and_keeps_open() {
    let t = TestApp::start_with(Engine::Sqlite, &[("MAX_REQUESTS", "1")]).await;
    let (asha, ravi, lot) = (t.driver("Asha").await, t.driver("Ravi").await, t.lot(1).await);
    let (booking, _writing) = occupy(&t, &asha, lot).await;
    let book = Head::of("POST /api/booking/book-spot").by(&ravi);
    assert_readable(&t, &book, SMALL, 503).await;
    assert_readable(&t, &book, &vec![b'x'; 500_000], 503).await;
    booking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_and_pipelined_bodies_keep_the_connection() {
    let t = TestApp::start(Engine::Sqlite).await;
    let mut connection = Connection::open(&t).await;
    let head = "POST /api/nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for piece in [head, "5\r\nhello\r\n", "5\r\nworld\r\n", "0\r\n\r\n"] {
        connection.write(piece).await;
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(connection.read().await.status, 404);
    let next = Head::of("POST /api/booking/book-spot").with_length(SMALL.len());
    connection.write(&next).await;
    tokio::time::sleep(PAUSE).await;
    connection.write([SMALL, next.as_bytes(), SMALL].concat()).await;
    assert_eq!((connection.read().await.status, connection.read().await.status), (401, 401));
    connection.is_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_bodies_are_answered_before_the_close() {
    let t = TestApp::start(Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let book = Head::of("POST /api/booking/book-spot").by(&asha);
    let piece = vec![b'x'; 1024 * 1024];
    let chunked = "POST /api/nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, status, chunk) in [
        (book.with_length(8 * piece.len()), 413, ""),
        (Head::of("POST /api/booking/book-spot").with_length(8 * piece.len()), 413, ""),
        (chunked.to_owned(), 404, "100000\r\n"),
    ] {
        let mut connection = Connection::open(&t).await;
        connection.write(head).await;
        tokio::time::sleep(PAUSE).await;
        for _ in 0..8 {
            connection.write(chunk).await;
            connection.write(&piece).await;
            connection.write(if chunk.is_empty() { "" } else { "\r\n" }).await;
            tokio::time::sleep(PAUSE).await;
        }
        let answer = connection.read().await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.closes(), "{}", answer.head);
        connection.is_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_answered_after_two_seconds() {
    let t = TestApp::start(Engine::Sqlite).await;
    let mut connection = Connection::open(&t).await;
    let begun = Instant::now();
    connection.write(Head::of("POST /api/nowhere").with_length(1000)).await;
    connection.write(SMALL).await;
    let answer = connection.read().await;
    assert_eq!(answer.status, 404);
    assert!(answer.closes(), "{}", answer.head);
    assert!((1900..4000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    connection.is_closed().await;
    connection.write(SMALL).await;

    let mut half_closed = Connection::open(&t).await;
    half_closed.write(Head::of("POST /api/nowhere").with_length(1000)).await;
    half_closed.0.shutdown().await.unwrap();
    assert_eq!(half_closed.read().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_long_are_answered_before_the_close() {
    let t = TestApp::start(Engine::Sqlite).await;
    let mut connection = Connection::open(&t).await;
    connection.write("POST /api/nowhere HTTP/1.1\r\nhost: x\r\nx-long: ").await;
    for _ in 0..8 {
        connection.write(vec![b'x'; 64 * 1024]).await;
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(connection.read().await.status, 431);
    connection.is_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_expectations_get_no_100() {
    let t = TestApp::start_with(Engine::Sqlite, &[("RATE_LIMIT_LOGIN", "1/3600")]).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let expecting = |line| Head { more: "expect: 100-continue\r\n", ..Head::of(line) };
    let book = || expecting("POST /api/booking/book-spot");
    Connection::open(&t).await.send(&Head::of("POST /api/auth/reset-password"), b"{}").await;
    for (head, length, status) in [
        (book(), 12, 401),
        (expecting("POST /api/parking-lots").by(&asha), 12, 403),
        (expecting("POST /api/nowhere"), 12, 404),
        (expecting("PATCH /api/booking/book-spot"), 12, 405),
        (book().by(&asha), 65 * 1024, 413),
        (book().by(&asha), 1024 * 1024 * 1024, 413),
        (expecting("POST /api/auth/reset-password"), 12, 429),
    ] {
        let mut connection = Connection::open(&t).await;
        let begun = Instant::now();
        connection.write(head.with_length(length)).await;
        let answer = connection.read().await;
        assert_eq!(answer.status, status, "{}: {}", head.line, answer.body);
        assert!(answer.closes(), "the client need not send the body: {}", answer.head);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        connection.is_closed().await;
    }
    let body = json!({ "lot_id": lot }).to_string();
    let mut connection = Connection::open(&t).await;
    connection.write(book().by(&asha).with_length(body.len())).await;
    assert_eq!(connection.read().await.status, 100);
    connection.write(&body).await;
    assert_eq!(connection.read().await.status, 201);
    connection.is_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_capacity_expectations_get_no_100() {
    let t = TestApp::start_with(Engine::Sqlite, &[("MAX_REQUESTS", "1")]).await;
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    let (booking, _writing) = occupy(&t, &asha, lot).await;
    let head = Head { more: "expect: 100-continue\r\n", ..Head::of("POST /api/booking/book-spot") };
    let mut connection = Connection::open(&t).await;
    connection.write(head.by(&asha).with_length(12)).await;
    assert_eq!(connection.read().await.status, 503);
    booking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn four_times_the_capacity_cuts_no_connection() {
    let t =
        TestApp::start_with(Engine::Sqlite, &[("MAX_REQUESTS", "12"), ("RATE_LIMIT_DEFAULT", "100000/60")])
            .await;
    let lot = t.lot(48).await;
    let body = json!({ "lot_id": lot }).to_string();
    let mut clients = Vec::new();
    for driver in many_drivers(&t, "driver", 48).await {
        let (mut connection, body) = (Connection::open(&t).await, body.clone());
        clients.push(async move {
            let head = Head::of("POST /api/booking/book-spot").by(&driver).with_length(body.len());
            let mut refused = 0;
            for _ in 0..20 {
                connection.write(&head).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                connection.write(&body).await;
                match connection.read().await.status {
                    201 | 409 => {}
                    503 => refused += 1,
                    other => panic!("{other}"),
                }
            }
            refused
        });
    }
    let refused: i32 = at_once(clients).await.into_iter().sum();
    assert!((1..960).contains(&refused), "{refused} of 960 requests");
}

/// Python's client writes head and body separately, and reports a failed write instead of the response.
const PYTHON: &str = r#"
import http.client, sys, time

def slowly(body):
    for start in range(0, len(body), 30_000):
        time.sleep(0.02)
        yield body[start:start + 30_000]

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
connection.connect()
socket = connection.sock
for path, length, kind, token, status in [
    ("/api/booking/book-spot", 12, "application/json", "", 401),
    ("/api/booking/book-spot", 100_000, "application/json", "", 413),
    ("/api/booking/book-spot", 12, "text/plain", sys.argv[2], 415),
    ("/api/nowhere", 100_000, "application/json", "", 404),
]:
    for attempt in range(10):
        body = b"x" * length if attempt % 2 else slowly(b"x" * length)
        headers = {"content-type": kind, "authorization": "Bearer " + token, "content-length": str(length)}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status, (path, response.status)
        assert connection.sock is socket, "the connection stays open"
connection.request("POST", "/api/booking/book-spot", b"x" * 20_000_000, {"content-type": "application/json"})
response = connection.getresponse()
assert response.status == 413, response.status
assert response.read() and response.will_close
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_reads_every_early_answer() {
    let t = TestApp::start(Engine::Sqlite).await;
    let asha = t.driver("Asha").await;
    let url: Url = t.url("/").parse().unwrap();
    let python = std::env::var_os("PARKADE_PYTHON").unwrap_or_else(|| "python3".into());
    let mut client = Command::new(python);
    client.args(["-c", PYTHON, &url.port().unwrap().to_string(), &asha.token]);
    let output =
        tokio::task::spawn_blocking(move || client.output()).await.unwrap().expect("Python 3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
