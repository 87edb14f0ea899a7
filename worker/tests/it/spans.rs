//! Tracing spans at a collector: one trace from the caller through the API to the worker and its mail, without
//! private data.

use std::time::{Duration, Instant};

use devstack::{HttpSink, MailSink, Process};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::json;
use testkit::{Engine, PASSWORD, Processes, TestApp};

use crate::support::{mail_settings, settings, within};

/// The spans that the collector has received, each with its service.
fn spans(sink: &HttpSink) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    for request in sink.requests() {
        assert_eq!((&*request.method, &*request.target), ("POST", "/v1/traces"));
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        for part in ExportTraceServiceRequest::decode(&*request.bytes).unwrap().resource_spans {
            let resource = part.resource.unwrap();
            let name = resource.attributes.iter().find(|one| one.key == "service.name").unwrap();
            let Some(Value::StringValue(service)) = name.value.clone().unwrap().value else {
                panic!("{name:?}")
            };
            let of_service = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
            found.extend(of_service.map(|span| (service.clone(), span)));
        }
    }
    found
}

/// Waits for the span with this name.
async fn span(sink: &HttpSink, service: &str, name: &str) -> Span {
    let find = || spans(sink).into_iter().find(|(of, span)| of == service && span.name == name);
    within(Duration::from_secs(20), name, || async { find().is_some() }).await;
    find().unwrap().1
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Value {
    let found = span.attributes.iter().find(|one| one.key == name);
    found.unwrap_or_else(|| panic!("no {name} in {span:?}")).value.clone().unwrap().value.unwrap()
}

async fn register(base: &str, name: &str, traceparent: &str) -> reqwest::Response {
    let body = json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD });
    let request = reqwest::Client::new().post(format!("{base}/auth/register?private=address")).json(&body);
    request.header("traceparent", traceparent).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_trace_spans_caller_to_mail_without_private_data() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00f067aa0ba902b7";
    let t = TestApp::start(Engine::Sqlite).await;
    let (collector, mails) = (HttpSink::start(None).await.unwrap(), MailSink::start().await.unwrap());
    let (mail, endpoint) = (mail_settings(mails.addr().port()), format!("http://{}/", collector.addr()));
    // The log level does not affect which spans are exported.
    let more = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("LOG_LEVEL", "error"),
    ];
    let all = settings(&mail, &more);
    let processes = Processes::of(&t, &all);
    let (_api, base) = processes.api().await;
    let _worker = processes.worker();
    let answer = register(&base, "asha", &format!("00-{TRACE}-{CALLER}-01")).await;
    assert_eq!(answer.status(), 201);
    let traceparent = answer.headers()["traceparent"].to_str().unwrap().to_owned();
    let token = answer.json::<serde_json::Value>().await.unwrap()["token"].as_str().unwrap().to_owned();

    let request = span(&collector, "parkade-api", "POST /auth/register").await;
    let job = span(&collector, "parkade-worker", "send-welcome").await;
    let mail = span(&collector, "parkade-worker", "mail").await;
    for span in [&request, &job, &mail] {
        assert_eq!(hex(&span.trace_id), TRACE, "{}", span.name);
        assert!(span.events.is_empty() && span.end_time_unix_nano > span.start_time_unix_nano);
    }
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(traceparent, format!("00-{TRACE}-{}-01", hex(&request.span_id)));
    assert_eq!(mail.parent_span_id, job.span_id);
    assert_eq!((request.kind, job.kind), (SpanKind::Server as i32, SpanKind::Consumer as i32));
    assert_eq!(attribute(&request, "http.response.status_code"), Value::IntValue(201));
    assert_eq!(attribute(&job, "parkade.job.outcome"), Value::StringValue("succeeded".into()));
    assert_eq!(attribute(&mail, "parkade.mail.kind"), Value::StringValue("welcome".into()));

    // A caller without a trace gets a new one, and its root span has the id that the answer contains.
    let answer = reqwest::get(format!("{base}/parking-lots/999?private=address")).await.unwrap();
    let traceparent = answer.headers()["traceparent"].to_str().unwrap().to_owned();
    let request = span(&collector, "parkade-api", "GET /parking-lots/{id}").await;
    assert_eq!(traceparent, format!("00-{}-{}-01", hex(&request.trace_id), hex(&request.span_id)));
    assert!(request.parent_span_id.is_empty());

    let known = ["parkade.", "http.request.method", "http.route", "http.response.status_code"];
    for (_, span) in spans(&collector) {
        for one in &span.attributes {
            assert!(known.iter().any(|name| one.key.starts_with(name)), "{} in {span:?}", one.key);
        }
    }
    for request in collector.requests() {
        for private in [&*token, PASSWORD, "example.com", "asha", "private=address", testkit::JWT_SECRET] {
            assert!(!request.body.contains(private), "{private}: {:?}", request.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_collector_costs_no_time_or_memory() {
    let t = TestApp::start(Engine::Sqlite).await;
    let silent = HttpSink::start(None).await.unwrap();
    for _ in 0..1_000 {
        silent.answer("");
    }
    let closed = format!("127.0.0.1:{}", devstack::free_port().unwrap());
    for address in [silent.addr().to_string(), closed] {
        let endpoint = format!("http://{address}");
        let more = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
        let (api, base) = Processes::of(&t, &more).api().await;
        let slowest = flood(&base, 500).await;
        let before = api.memory().unwrap().rss_bytes;
        // Twice the capacity of the queue.
        let slowest = slowest.max(flood(&base, 4_500).await);
        let grown = api.memory().unwrap().rss_bytes.saturating_sub(before);
        assert!(slowest < Duration::from_millis(1_000), "{address}: {slowest:?}");
        assert!(grown < 24 << 20, "{address}: {grown} bytes more");
        within(Duration::from_secs(20), "the lost spans are logged", || async {
            api.log().contains("the collector does not accept spans")
        })
        .await;
        stops_soon(&api).await;
    }
    assert!(!silent.requests().is_empty());
}

/// The longest of `calls` requests, eight at a time.
async fn flood(base: &str, calls: usize) -> Duration {
    let client = reqwest::Client::new();
    let callers = (0..8).map(|_| {
        let (client, url) = (client.clone(), format!("{base}/health/live"));
        tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            for _ in 0..calls / 8 {
                let begun = Instant::now();
                assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
                slowest = slowest.max(begun.elapsed());
            }
            slowest
        })
    });
    let slowest = futures::future::try_join_all(callers.collect::<Vec<_>>()).await.unwrap();
    slowest.into_iter().max().unwrap()
}

async fn stops_soon(process: &Process) {
    let begun = Instant::now();
    process.terminate().unwrap();
    assert_eq!(process.wait(Duration::from_secs(10)).await.unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
