//! Spans of requests, jobs and mails for a collector of OpenTelemetry. Sent from a thread of their own, out of a bounded
//! queue: a collector that is slow or away costs spans and nothing else.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{SpanContext, SpanKind, Status, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// The spans that are sent.
const SPANS: [&str; 3] = ["request", "job", "mail"];

/// The fields of them that are sent, and what OpenTelemetry calls them. Others stay here, and so do the lines of the log:
/// paths and errors may hold what is nobody else's business.
const FIELDS: [(&str, &str); 10] = [
    ("request.id", "parkade.request.id"),
    ("http.method", "http.request.method"),
    ("http.route", "http.route"),
    ("http.status", "http.response.status_code"),
    ("job.id", "parkade.job.id"),
    ("job.kind", "parkade.job.kind"),
    ("job.attempt", "parkade.job.attempt"),
    ("job.outcome", "parkade.job.outcome"),
    ("mail.kind", "parkade.mail.kind"),
    ("mail.channel", "parkade.mail.channel"),
];

/// The collector has so long to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// At the end of the process, what is still queued has so long to leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends spans until it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct Spans(Option<SdkTracerProvider>);

impl Drop for Spans {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(FAREWELL)
        {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// What makes spans of this process and sends them to `collector`.
pub(super) fn to<S>(collector: &str, service: &'static str) -> anyhow::Result<(impl Layer<S> + use<S>, Spans)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent("Parkade")
        .build();
    let exporter = Otlp::builder()
        .with_http()
        .with_http_client(Client(agent.into()))
        .with_endpoint(format!("{collector}/v1/traces"))
        .with_timeout(PATIENCE)
        .build()?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_id_generator(Ids::default())
        .with_resource(Resource::builder().with_service_name(service).with_attribute(version).build())
        .with_batch_exporter(Chosen { exporter, fails: AtomicBool::new(false) })
        .build();
    let is_ours = |metadata: &Metadata<'_>| metadata.is_span() && SPANS.contains(&metadata.name());
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("parkade"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(is_ours));
    Ok((layer, Spans(Some(provider))))
}

/// Makes `span` a child of the caller's. Nothing happens without a collector, or for a header that is not well formed.
pub fn set_parent(span: &Span, traceparent: &str) {
    let parent = || {
        let trace = TraceId::from_hex(super::parse_traceparent(traceparent)?).ok()?;
        let mut rest = traceparent.split('-').skip(2);
        let parent = SpanId::from_hex(rest.next()?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(rest.next()?, 16).ok()?);
        Some(SpanContext::new(trace, parent, flags, true, TraceState::NONE))
    };
    if let Some(parent) = parent() {
        // An error says that there is no collector.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// The id of a span, if it has one that a collector may see.
#[must_use]
pub fn span_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.span_id().to_string())
}

/// A span that begins a trace takes the id that requests and jobs carry already.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let ours = super::trace_id().and_then(|trace| TraceId::from_hex(&trace).ok());
        ours.unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Sends what may be sent.
#[derive(Debug)]
struct Chosen<E> {
    exporter: E,
    fails: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Chosen<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(choose);
        let sent = self.exporter.export(batch).await;
        match (self.fails.swap(sent.is_err(), Ordering::Relaxed), &sent) {
            (false, Err(_)) => tracing::warn!("the collector takes no spans; they are dropped until it does"),
            (true, Ok(())) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Leaves nothing of a span but what [`FIELDS`] lists, and says what kind it is.
fn choose(span: &mut SpanData) {
    let field =
        |name: &str| span.attributes.iter().find(|one| one.key.as_str() == name).map(|one| one.value.clone());
    let is_error = matches!(field("http.status"), Some(Value::I64(500..)))
        || field("job.outcome").is_some_and(|outcome| outcome.as_str() == "failed");
    let (kind, name) = match &*span.name {
        "request" => {
            let words = ["http.method", "http.route"].map(|name| field(name).map(|value| value.to_string()));
            (SpanKind::Server, Some(words.into_iter().flatten().collect::<Vec<_>>().join(" ")))
        }
        "job" => (SpanKind::Consumer, field("job.kind").map(|kind| kind.to_string())),
        _ => (SpanKind::Client, None),
    };
    let kept =
        FIELDS.iter().filter_map(|(ours, theirs)| Some(KeyValue::new(*theirs, field(ours)?))).collect();
    span.span_kind = kind;
    span.name = name.map_or_else(|| span.name.clone(), Into::into);
    span.status = if is_error { Status::error("") } else { Status::Unset };
    span.attributes = kept;
    span.events = Default::default();
}

/// Calls the collector, on the thread that waits for it.
#[derive(Debug)]
struct Client(ureq::Agent);

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.0.run(request.map(|body| body.to_vec()))?.into_parts();
        let body = body.into_with_config().limit(64 * 1024).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::InstrumentationScope;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    fn chosen(name: &'static str, fields: &[(&'static str, Value)]) -> SpanData {
        let mut span = SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: std::time::UNIX_EPOCH,
            end_time: std::time::UNIX_EPOCH,
            attributes: fields.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Ok,
            instrumentation_scope: InstrumentationScope::default(),
        };
        choose(&mut span);
        span
    }

    #[test]
    fn only_listed_fields_are_exported_and_failures_marked() {
        let of = |status: i64| {
            chosen(
                "request",
                &[
                    ("http.path", "/a/secret".into()),
                    ("http.method", "GET".into()),
                    ("http.route", "/a/{id}".into()),
                    ("http.status", status.into()),
                ],
            )
        };
        let keys: Vec<String> = of(200).attributes.iter().map(|one| one.key.to_string()).collect();
        assert_eq!(keys, ["http.request.method", "http.route", "http.response.status_code"]);
        assert_eq!((&*of(200).name, of(200).span_kind), ("GET /a/{id}", SpanKind::Server));
        assert_eq!((of(499).status, of(500).status), (Status::Unset, Status::error("")));
        let job = |outcome: &'static str| {
            chosen("job", &[("job.kind", "export".into()), ("job.outcome", outcome.into())])
        };
        assert_eq!((&*job("failed").name, job("failed").status), ("export", Status::error("")));
        assert_eq!(job("retried").status, Status::Unset);
    }
}
