//! Too many requests, or slow ones.

use std::time::{Duration, Instant};

use reqwest::{Method, Url};
use serde_json::json;
use testkit::{Engine, PASSWORD, TestApp, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::at_once;

/// An application that handles at most `requests` requests at once.
async fn with_room_for(requests: &str) -> TestApp {
    TestApp::start_with(Engine::Sqlite, &[("MAX_REQUESTS", requests)]).await
}

/// A raw connection to the API.
async fn connection(t: &TestApp) -> TcpStream {
    let url: Url = t.url("/").parse().unwrap();
    TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_capacity_returns_503_except_health() {
    let t = with_room_for("2").await;
    let (drivers, lot) = ([t.driver("Asha").await, t.driver("Ravi").await], t.lot(2).await);
    // Once admitted, both bookings wait for this write transaction.
    let writing = t.app.db.begin().await.unwrap();
    let booking = drivers.clone().map(|driver| {
        let request = t.request(Method::POST, "/booking/book-spot", Some(&driver));
        let request = request.json(&json!({ "lot_id": lot }));
        tokio::spawn(async move {
            loop {
                let status = request.try_clone().unwrap().send().await.unwrap().status();
                if status != 503 {
                    return status;
                }
            }
        })
    });
    eventually("the API is at capacity", || async { t.get("/parking-lots", None).await.status == 503 }).await;
    let begun = Instant::now();
    for (method, path) in
        [(Method::GET, "/parking-lots"), (Method::POST, "/booking/book-spot"), (Method::GET, "//nowhere")]
    {
        let refused = t.send(t.request(method, path, Some(&drivers[0])).header("x-request-id", "r-9")).await;
        refused.problem(503, "overloaded");
        assert_eq!(refused.headers["retry-after"], "1", "{path}");
        assert_eq!(refused.headers["x-request-id"], "r-9", "{path}");
        assert_eq!(refused.body["request_id"], "r-9");
    }
    let foreign = t.request(Method::GET, "/parking-lots", None).header("origin", "http://localhost:5173");
    let foreign = t.send(foreign).await;
    foreign.problem(503, "overloaded");
    assert_eq!(foreign.headers["access-control-allow-origin"], "http://localhost:5173");
    for path in ["/health/live", "/health/ready", "/health", "//health/live"] {
        t.get(path, None).await.expect(200);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    writing.rollback().await.unwrap();
    for booked in booking {
        assert_eq!(booked.await.unwrap(), 201);
    }
    t.get("/parking-lots", None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_hold_no_slot_and_time_out() {
    let t = with_room_for("1").await;
    let asha = t.driver("Asha").await;
    let mut slow = connection(&t).await;
    let head = format!(
        "POST /api/booking/book-spot HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n",
        asha.token
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    // The request was admitted.
    let mut welcome = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    slow.read_exact(&mut welcome).await.unwrap();
    assert!(welcome.starts_with(b"HTTP/1.1 100"));
    let begun = Instant::now();
    let (mut reading, mut writing) = slow.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    for _ in 0..20 {
        t.get("/parking-lots", None).await.expect(200);
    }
    let mut answer = vec![0; 12];
    reading.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert!((9..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    trickle.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_hold_no_request_slot() {
    let t = with_room_for("1").await;
    let asha = t.driver("Asha").await;
    let asked = t.post("/export/csv/request", Some(&asha), json!({})).await.expect(202);
    let id = asked.body["task_id"].as_str().unwrap().parse().unwrap();
    let mut events = t.follow(id, &asha, None).await;
    assert!(events.next().await.is_some());
    t.get("/parking-lots", None).await.expect(200);
}

/// Sends one request after the other until the owner of the flag is dropped.
async fn hammer(request: reqwest::RequestBuilder, stop: std::sync::Weak<()>) {
    while stop.upgrade().is_some() {
        let status = request.try_clone().unwrap().send().await.unwrap().status().as_u16();
        assert!([201, 400, 401, 403, 409, 410, 503].contains(&status), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_succeed_while_every_hashing_route_is_flooded() {
    let t = TestApp::start(Engine::Sqlite).await;
    let (admin, asha, ravi) = (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await);
    let flooding = std::sync::Arc::new(());
    let mut clients = Vec::new();
    for client in 0..10 {
        let new = json!({ "username": format!("New {client}"), "email": format!("new{client}@example.com"), "password": PASSWORD });
        let wrong = "Wrong-horse-1";
        for (method, path, who, body) in [
            (Method::POST, "/auth/login", None, json!({ "email": asha.email, "password": wrong })),
            (Method::POST, "/auth/register", None, new.clone()),
            (Method::POST, "/auth/reset-password", None, json!({ "token": "no", "password": PASSWORD })),
            (
                Method::PUT,
                "/users/me",
                Some(&asha),
                json!({ "current_password": wrong, "phone_number": "9876543210" }),
            ),
            (Method::POST, "/users", Some(&admin), new),
        ] {
            let request = t.request(method, path, who).json(&body);
            clients.push(tokio::spawn(hammer(request, std::sync::Arc::downgrade(&flooding))));
        }
    }
    for _ in 0..5 {
        t.log_in(&ravi.email).await;
    }
    drop(flooding);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_flood_leaves_room_for_other_requests() {
    let t = with_room_for("1").await;
    let asha = t.driver("Asha").await;
    let body = json!({ "email": asha.email, "password": PASSWORD });
    let logins = (0..8).map(|_| t.request(Method::POST, "/auth/login", None).json(&body).send());
    let flood = tokio::spawn(at_once(logins.collect::<Vec<_>>()));
    while !flood.is_finished() {
        t.get("/parking-lots", None).await.expect(200);
    }
    let statuses: Vec<u16> =
        flood.await.unwrap().into_iter().map(|login| login.unwrap().status().as_u16()).collect();
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
}
