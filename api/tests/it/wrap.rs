//! What applies to every endpoint: request ids, both mounts, CORS, limits, panics.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response},
    routing::get,
};
use devstack::{Process, Redis};
use reqwest::{Method, Url, header::HeaderMap};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use testkit::{Answer, Engine, PASSWORD, Processes, TestApp, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::ServiceExt;

use crate::support::{ENGINES, change, number};

async fn app() -> TestApp {
    TestApp::start(Engine::Sqlite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_request_ids_are_echoed_others_replaced() {
    let t = app().await;
    let call = async |id: &str| {
        let answer = t.send(t.request(Method::GET, "/nowhere", None).header("x-request-id", id)).await;
        answer.problem(404, "not_found");
        assert_eq!(
            answer.headers["x-request-id"],
            answer.body["request_id"].as_str().unwrap(),
            "header and body agree"
        );
        answer.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    let longest = "x".repeat(128);
    for id in ["7", "a-b_c.d/e:f{}", &longest] {
        assert_eq!(call(id).await, id);
    }
    let too_long = "x".repeat(129);
    for id in ["", "with space", "tab\there", &too_long] {
        let given = call(id).await;
        assert!(given.parse::<uuid::Uuid>().is_ok(), "{given}");
    }
    let (one, two) = (t.get("/parking-lots", None).await, t.get("/parking-lots", None).await);
    assert_ne!(
        one.headers["x-request-id"], two.headers["x-request-id"],
        "successful answers have an id, too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_answer_with_and_without_the_api_prefix() {
    let t = app().await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    for (path, status) in [
        ("parking-lots".to_owned(), 200),
        (format!("parking-lots/{lot}"), 200),
        (format!("parking-lots/{lot}/available-spots"), 200),
        ("parking-lots/999".to_owned(), 404),
        ("auth/sessions".to_owned(), 200),
        (format!("users/{}/reservations", asha.id), 200),
        ("user/activity".to_owned(), 200),
        ("reservations".to_owned(), 403),
        ("reservations/999".to_owned(), 404),
        ("export/csv/history".to_owned(), 200),
        ("tasks/export-csv".to_owned(), 400),
        ("health/live".to_owned(), 200),
        ("health/ready".to_owned(), 200),
        ("nowhere".to_owned(), 404),
    ] {
        let canonical = t.get(&format!("/{path}"), Some(&asha)).await.expect(status);
        let alias = t.get(&format!("//{path}"), Some(&asha)).await.expect(status);
        let plain = |mut body: Value| {
            if let Some(body) = body.as_object_mut() {
                body.remove("request_id");
                body.remove("instance");
            }
            body
        };
        assert_eq!(plain(canonical.body), plain(alias.body), "{path}");
    }
    let booked = t.post("//booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.expect(201);
    let id = booked.body["reservation"]["id"].as_i64().unwrap();
    t.release(&asha, id).await.expect(200);
    let greeting = t.get("//", None).await.expect(200).body;
    assert_eq!((&greeting["name"], &greeting["docs"]), (&json!("Parkade"), &json!("/docs")));
    assert_eq!(greeting["version"], env!("CARGO_PKG_VERSION"));
    for same in ["//api", "//api/", "//api?x=1"] {
        assert_eq!(t.get(same, None).await.expect(200).body, greeting, "{same}");
    }
    t.post("//api", None, json!({})).await.problem(405, "method_not_allowed");
    for nothing in ["//apis", "//api//", "//api/docs", "//api/api/parking-lots"] {
        t.get(nothing, Some(&asha)).await.problem(404, "not_found");
    }
}

fn cors(headers: &HeaderMap) -> Vec<&str> {
    headers
        .keys()
        .map(reqwest::header::HeaderName::as_str)
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

/// Defect 17.
#[tokio::test(flavor = "multi_thread")]
async fn only_listed_cors_origins_are_allowed() {
    let origins = [("CORS_ORIGINS", "http://localhost:5173, https://park.example")];
    let t = TestApp::start_with(Engine::Sqlite, &origins).await;
    let from = async |method: Method, origin: &str| {
        let request = t.request(method.clone(), "/parking-lots", None).header("origin", origin);
        let request = match method {
            Method::OPTIONS => request
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type"),
            _ => request,
        };
        t.send(request).await
    };
    for origin in ["http://localhost:5173", "https://park.example"] {
        let answer = from(Method::GET, origin).await.expect(200);
        assert_eq!(answer.headers["access-control-allow-origin"], origin);
        assert!(answer.headers.get("access-control-allow-credentials").is_none());
        assert!(answer.headers["vary"].to_str().unwrap().to_lowercase().contains("origin"));
        let preflight = from(Method::OPTIONS, origin).await.expect(200);
        assert_eq!(preflight.headers["access-control-allow-origin"], origin);
        let methods = preflight.headers["access-control-allow-methods"].to_str().unwrap();
        for method in ["GET", "POST", "PUT", "DELETE"] {
            assert!(methods.contains(method), "{methods}");
        }
        let allowed = preflight.headers["access-control-allow-headers"].to_str().unwrap().to_lowercase();
        assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
    }
    for origin in [
        "http://localhost:5174",
        "http://localhost",
        "https://localhost:5173",
        "http://127.0.0.1:5173",
        "https://park.example.evil.example",
        "https://evil.park.example",
        "https://park.exampl",
        "null",
        "*",
        "HTTP://LOCALHOST:5173",
    ] {
        for method in [Method::GET, Method::OPTIONS] {
            let answer = from(method.clone(), origin).await;
            assert_eq!(cors(&answer.headers), Vec::<&str>::new(), "{method} from {origin}");
        }
    }
    // Allowed origins can read errors, too.
    let request = t.request(Method::GET, "/auth/sessions", None).header("origin", "https://park.example");
    let refused = t.send(request).await;
    refused.problem(401, "unauthenticated");
    assert_eq!(refused.headers["access-control-allow-origin"], "https://park.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_allow_event_streams_and_last_two_hours() {
    let t = app().await;
    let preflight = async |origin: &str, headers: &str| {
        let request = t.request(Method::OPTIONS, "/tasks/x/events", None).header("origin", origin);
        let request = request.header("access-control-request-method", "GET");
        t.send(request.header("access-control-request-headers", headers)).await.expect(200)
    };
    let answer = preflight("http://localhost:5173", "authorization,cache-control,last-event-id").await;
    assert_eq!(answer.headers["access-control-max-age"], "7200");
    let allowed = answer.headers["access-control-allow-headers"].to_str().unwrap().to_lowercase();
    for name in
        ["authorization", "cache-control", "content-type", "if-match", "last-event-id", "idempotency-key"]
    {
        assert!(allowed.split(',').any(|found| found.trim() == name), "{name}: {allowed}");
    }
    let foreign = preflight("https://evil.example", "last-event-id").await;
    assert_eq!(cors(&foreign.headers), Vec::<&str>::new());
}

async fn body(response: Response<Body>) -> Value {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Defects 8 and 39.
#[tokio::test(flavor = "multi_thread")]
async fn panic_is_a_500_without_internals() {
    let t = app().await;
    let routes = api::Router::new()
        .route(
            "/boom",
            get(async || {
                if true {
                    panic!("a secret panic message")
                }
            }),
        )
        .route("/calm", get(async || "calm"));
    let router = api::http::stack::wrap(routes, &t.app);
    let call = async |path: &str| {
        let request = Request::get(path).header("x-request-id", "r7").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let response = call("/boom").await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["x-request-id"], "r7");
    let problem = body(response).await;
    assert_eq!(
        (&problem["code"], &problem["request_id"], &problem["status"]),
        (&json!("internal"), &json!("r7"), &json!(500))
    );
    assert!(!problem.to_string().contains("secret"), "{problem}");
    assert_eq!(call("/calm").await.status(), 200);
}

/// Defect 39.
#[tokio::test(flavor = "multi_thread")]
async fn database_error_is_a_problem_without_internals() {
    let t = app().await;
    let asha = t.driver("Asha").await;
    change(&t, "ALTER TABLE lots RENAME TO hidden", []).await.unwrap();
    for answer in [
        t.get("/parking-lots", None).await,
        t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": 1 })).await,
    ] {
        answer.problem(500, "internal");
        for internal in ["lots", "SELECT", "sqlite", "no such table"] {
            assert!(!answer.text.replace("/api/parking-lots", "").contains(internal), "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_outage_returns_503_with_retry_after() {
    let mut server = devstack::Postgres::start_with(&["-c", "fsync=off"]).await.unwrap();
    let url = server.create_database("parkade").await.unwrap();
    let t = TestApp::start_with(Engine::Postgres, &[("DATABASE_URL", &url)]).await;
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    server.kill().await.unwrap();
    for _ in 0..2 {
        let (ready, lots, booking) = tokio::join!(
            t.get("/health/ready", None),
            t.get("/parking-lots", None),
            t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })),
        );
        for answer in [ready, lots, booking] {
            answer.problem(503, "unavailable");
            assert_eq!(answer.headers["retry-after"], "1");
            assert_eq!(answer.body["retry_after"], 1);
        }
    }
    t.get("/health/live", None).await.expect(200);
    server.restart().await.unwrap();
    t.eventually("the database works again", || async { t.get("/health/ready", None).await.status == 200 })
        .await;
    t.eventually("bookings work again", || async {
        t.post("/booking/book-spot", Some(&asha), json!({ "lot_id": lot })).await.status == 201
    })
    .await;
}

fn took(headers: &HeaderMap) -> Duration {
    let text = headers["server-timing"].to_str().unwrap();
    Duration::from_secs_f64(text.strip_prefix("app;dur=").unwrap().parse::<f64>().unwrap() / 1000.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_security_headers() {
    let t = TestApp::start_with(Engine::Sqlite, &[("PUBLIC_URL", "https://parkade.example.com")]).await;
    let asha = t.driver("Asha").await;
    let value =
        |answer: &Answer, name: &str| answer.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    for (path, who, status, caching) in [
        ("/parking-lots", None, 200, "private, no-cache"),
        ("/user/activity", Some(&asha), 200, "no-store"),
        ("/users", Some(&asha), 403, "no-store"),
        ("/nowhere", None, 404, "no-store"),
        ("/unsubscribe?user_id=1&mails=reminders&signature=x", None, 404, "no-store"),
    ] {
        let answer = t.get(path, who).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert_eq!(value(&answer, "cache-control").as_deref(), Some(caching), "{path}");
        assert_eq!(value(&answer, "x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(value(&answer, "x-frame-options").as_deref(), Some("DENY"), "{path}");
        assert_eq!(value(&answer, "referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        assert_eq!(
            value(&answer, "strict-transport-security").as_deref(),
            Some("max-age=31536000"),
            "{path}"
        );
        let policy = value(&answer, "content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("script-src"), "{path}: {policy}");
    }
    let docs = reqwest::get(t.url("//docs/")).await.unwrap();
    let policy = docs.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self';"), "only scripts from the same origin may run: {policy}");
    let plain = app().await.get("/parking-lots", None).await;
    assert_eq!(value(&plain, "strict-transport-security"), None, "no HSTS without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_reports_its_duration() {
    let t = app().await;
    let asha = t.driver("Asha").await;
    for (method, path, status) in [
        (Method::GET, "/parking-lots", 200),
        (Method::GET, "//", 200),
        (Method::GET, "/health", 200),
        (Method::POST, "/auth/logout", 401),
        (Method::POST, "/export/csv/request", 202),
        (Method::POST, "/booking/book-spot", 415),
        (Method::GET, "/users", 403),
        (Method::GET, "/nowhere", 404),
        (Method::DELETE, "/parking-lots", 405),
        (Method::OPTIONS, "/parking-lots", 200),
    ] {
        let who = (status != 401).then_some(&asha);
        let mut request = t.request(method.clone(), path, who).header("origin", "http://localhost:5173");
        if method == Method::OPTIONS {
            request = request.header("access-control-request-method", "POST");
        }
        let begun = Instant::now();
        let answer = t.send(request).await.expect(status);
        assert!(took(&answer.headers) <= begun.elapsed() + Duration::from_micros(50), "{method} {path}");
    }
    let pause = Duration::from_millis(60);
    let slow = api::Router::new().route("/slow", get(async move || tokio::time::sleep(pause).await));
    let router = api::http::stack::wrap(slow, &t.app);
    let response = router.oneshot(Request::get("/slow").body(Body::empty()).unwrap()).await.unwrap();
    assert!((pause..pause * 50).contains(&took(response.headers())), "{:?}", response.headers());
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_mid_booking_leaves_consistent_state() {
    for engine in ENGINES {
        // Long lifetimes, so that no answer is fresh only because a cached one has expired.
        let settings = [("CACHE_PARKING_TTL", "3600"), ("CACHE_RESERVATIONS_TTL", "3600")];
        let t = TestApp::start_with(engine, &settings).await;
        let (asha, lot) = (t.driver("Asha").await, t.lot(3).await);
        let mine = format!("/users/{}/reservations", asha.id);
        let seen = async || {
            let lots = t.get("/parking-lots", None).await.expect(200).body;
            let list = t.get(&mine, Some(&asha)).await.expect(200).body;
            (
                lots["lots"][0]["available_slots"].as_i64().unwrap(),
                list["reservations"].as_array().unwrap().len(),
            )
        };
        assert_eq!((seen().await, seen().await), ((3, 0), (3, 0)));

        // The booking waits for this write transaction.
        let writing = t.app.db.begin().await.unwrap();
        if engine == Engine::Postgres {
            writing.execute_unprepared("LOCK TABLE reservations IN EXCLUSIVE MODE").await.unwrap();
        }
        let url: Url = t.url("/booking/book-spot").parse().unwrap();
        let mut caller = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        let body = json!({ "lot_id": lot }).to_string();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            url.path(),
            asha.token,
            body.len(),
        );
        caller.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        caller.read_exact(&mut go_on).await.unwrap(); // The handler has started and waits for the body.
        caller.write_all(body.as_bytes()).await.unwrap();
        drop(caller);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM reservations").await, 0, "the booking waits");
        writing.rollback().await.unwrap();

        eventually("the booking is made", || async {
            number(&t, "SELECT COUNT(*) AS n FROM reservations WHERE state = 'active'").await == 1
        })
        .await;
        assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'send-confirmation'").await, 1);
        eventually("every process shows the booking", || async { seen().await == (2, 1) }).await;
    }
}

/// The complete lines of a log; each is a JSON object. The last one may still be written.
fn lines(log: &str) -> Vec<Value> {
    let log = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
    let read = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    log.lines().map(read).filter(|line| !line["level"].is_null()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_carry_request_ids_into_jobs_and_no_secrets() {
    let t = app().await;
    let processes = Processes::of(&t, &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug")]);
    let (api, base) = processes.api().await;
    let worker = processes.worker();
    let http = reqwest::Client::new();
    let email = "asha@example.com";
    let body =
        json!({ "username": "Asha", "email": email, "password": PASSWORD, "vehicle_number": "MH12AB1234" });
    let request = http.post(format!("{base}/auth/register")).header("x-request-id", "r-7").json(&body);
    let registered = request.send().await.unwrap().json::<Value>().await.unwrap();
    let token = registered["token"].as_str().unwrap().to_owned();
    change(&t, "ALTER TABLE lots RENAME TO hidden", []).await.unwrap();
    // A single lot, as the list is cached since startup.
    let failing =
        http.get(format!("{base}/parking-lots/1")).header("x-request-id", "r-8").bearer_auth(&token);
    assert_eq!(failing.send().await.unwrap().status(), 500);

    let of = |log: &str, field: &str, id: &str| -> Vec<Value> {
        lines(log).into_iter().filter(|line| line["span"][field] == id).collect()
    };
    let named = of(&api.log(), "request.id", "r-7");
    let answered = named.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!((&answered["http.status"], &answered["span"]["http.method"]), (&json!(201), &json!("POST")));
    // The job carries on the trace of the request.
    let trace = answered["span"]["trace"].as_str().unwrap();
    eventually("the welcome mail is sent", || async { !of(&worker.log(), "trace", trace).is_empty() }).await;
    assert_eq!(of(&worker.log(), "trace", trace)[0]["span"]["job.kind"], "send-welcome");
    let failed = of(&api.log(), "request.id", "r-8");
    let error = failed.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert!(error.to_string().contains("lots"), "{error}");
    for secret in [PASSWORD, &token, testkit::JWT_SECRET] {
        assert!(!(api.log() + &worker.log()).contains(secret), "{secret} is logged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_logs_name_the_cause_and_no_recipients() {
    let mut redis = Redis::start().await.unwrap();
    let (port, unused_port) = (redis.port().to_string(), devstack::free_port().unwrap().to_string());
    let settings = [
        ("REDIS_PORT", port.as_str()),
        ("MAIL_SERVER", "127.0.0.1"),
        ("MAIL_PORT", &unused_port),
        ("MAIL_USE_TLS", "false"),
        ("MAIL_DEFAULT_SENDER", "parkade@example.com"),
        ("LOG_FORMAT", "json"),
    ];
    let t = TestApp::start_with(Engine::Sqlite, &settings).await;
    let processes = Processes::of(&t, &[]);
    let ((api, base), worker) = (processes.api().await, processes.worker());
    let said = async |process: &Process, what: &str| {
        let all =
            || lines(&process.log()).into_iter().filter(|line| line["message"] == what).collect::<Vec<_>>();
        eventually(what, || async { !all().is_empty() }).await;
        all().remove(0)
    };
    let body = json!({ "username": "Asha", "email": "asha@example.com", "password": PASSWORD });
    let http = reqwest::Client::new();
    assert_eq!(http.post(format!("{base}/auth/register")).json(&body).send().await.unwrap().status(), 201);
    let waits = said(&worker, "the mail server takes no mail; jobs are held until it does").await;
    assert_eq!((&waits["level"], &waits["span"]["job.kind"]), (&json!("WARN"), &json!("send-welcome")));
    assert!(waits["reason"].as_str().unwrap().contains("refused"), "{waits}");

    redis.kill().await.unwrap();
    for process in [&api, &worker] {
        assert_eq!(reqwest::get(format!("{base}/parking-lots")).await.unwrap().status(), 200);
        let away = said(process, "Redis does not respond; continuing without it").await;
        assert_eq!(away["level"], "WARN");
        assert!(!away["error"].as_str().unwrap().is_empty(), "{away}");
    }
    redis.restart().await.unwrap();
    for process in [&api, &worker] {
        said(process, "Redis responds again").await;
        assert!(!process.log().contains("asha@example.com"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_traceparent_is_continued_others_replaced() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let t = app().await;
    let call = async |traceparent: &str| {
        let request = t.request(Method::GET, "/parking-lots", None).header("traceparent", traceparent);
        let answer = t.send(request).await.expect(200);
        let header = answer.headers["traceparent"].to_str().unwrap().to_owned();
        shared::platform::telemetry::parse_traceparent(&header)
            .unwrap_or_else(|| panic!("{header}"))
            .to_owned()
    };
    assert_eq!(call(&format!("00-{TRACE}-00f067aa0ba902b7-01")).await, TRACE);
    let made = [call("nonsense").await, call(&format!("00-{TRACE}")).await, call("").await];
    assert!(made.iter().all(|trace| trace != TRACE));
    assert_ne!(made[0], made[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_spans_request_job_and_mail() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let t = app().await;
    let asha = t.driver("Asha").await;
    let processes = Processes::of(&t, &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug")]);
    let (api, base) = processes.api().await;
    let worker = processes.worker();
    let request = reqwest::Client::new().post(format!("{base}/export/csv/request")).bearer_auth(&asha.token);
    let request = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    assert_eq!(request.send().await.unwrap().status(), 202);
    let kinds = |log: String| -> std::collections::BTreeSet<String> {
        let of_trace = lines(&log).into_iter().filter(|line| line["span"]["trace"] == TRACE);
        of_trace.filter_map(|line| line["span"]["job.kind"].as_str().map(ToOwned::to_owned)).collect()
    };
    let expected = ["export-csv", "send-export-ready"].map(ToOwned::to_owned).into();
    eventually("both jobs have logged", || async { kinds(worker.log()) == expected }).await;
    assert!(
        lines(&api.log()).iter().any(|line| line["span"]["trace"] == TRACE && line["message"] == "answered")
    );
    let count = format!("SELECT COUNT(*) AS n FROM jobs WHERE trace = '{TRACE}'");
    assert_eq!(number(&t, &count).await, 2);
    // The welcome mail belongs to another request.
    assert_eq!(number(&t, "SELECT COUNT(DISTINCT trace) AS n FROM jobs").await, 2);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE LENGTH(trace) = 32").await, 3);
}
