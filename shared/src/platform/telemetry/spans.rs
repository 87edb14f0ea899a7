//! Exporting spans of requests, jobs and mails to an OpenTelemetry collector, from a separate thread and a bounded queue:
//! a collector that is slow or down costs spans and nothing else.

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

use super::trace::{parse_traceparent, trace_id};

/// The names of exported spans.
const SPANS: [&str; 3] = ["request", "job", "mail"];

/// The exported fields with their OpenTelemetry names. Other fields and log lines are not exported, because paths and errors
/// may contain personal data.
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

/// How long the collector may take to respond.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the process waits for queued spans.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Exports spans until it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct Spans(Option<SdkTracerProvider>);

impl Drop for Spans {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)
        {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// A layer that exports the spans of this process to `collector`.
pub(super) fn export<S>(
    collector: &str,
    service: &'static str,
) -> anyhow::Result<(impl Layer<S> + use<S>, Spans)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(EXPORT_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent("Parkade")
        .build();
    let exporter = Otlp::builder()
        .with_http()
        .with_http_client(Client(agent.into()))
        .with_endpoint(format!("{collector}/v1/traces"))
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let provider = SdkTracerProvider::builder()
        .with_id_generator(TraceIds::default())
        .with_resource(Resource::builder().with_service_name(service).with_attribute(version).build())
        .with_batch_exporter(Filtered { exporter, is_failing: AtomicBool::new(false) })
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

/// Makes `span` a child of the caller's span. Does nothing without a collector, or if the header is malformed.
pub fn set_parent(span: &Span, traceparent: &str) {
    let parent = || {
        let trace = TraceId::from_hex(parse_traceparent(traceparent)?).ok()?;
        let mut rest = traceparent.split('-').skip(2);
        let parent = SpanId::from_hex(rest.next()?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(rest.next()?, 16).ok()?);
        Some(SpanContext::new(trace, parent, flags, true, TraceState::NONE))
    };
    if let Some(parent) = parent() {
        // It fails if there is no collector.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// The id of a span, if it is exported.
#[must_use]
pub fn span_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.span_id().to_string())
}

/// Gives a span that begins a trace the id that its request or job already has.
#[derive(Debug, Default)]
struct TraceIds(RandomIdGenerator);

impl IdGenerator for TraceIds {
    fn new_trace_id(&self) -> TraceId {
        let ours = trace_id().and_then(|trace| TraceId::from_hex(&trace).ok());
        ours.unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Exports only what may leave the installation.
#[derive(Debug)]
struct Filtered<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Filtered<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(filter);
        let sent = self.exporter.export(batch).await;
        match (self.is_failing.swap(sent.is_err(), Ordering::Relaxed), &sent) {
            (false, Err(_)) => {
                tracing::warn!("the collector does not accept spans; dropping them until it does")
            }
            (true, Ok(())) => tracing::info!("the collector accepts spans again"),
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

/// Removes everything from a span but the [`FIELDS`], and sets its kind.
fn filter(span: &mut SpanData) {
    let field =
        |name: &str| span.attributes.iter().find(|one| one.key.as_str() == name).map(|one| one.value.clone());
    let is_error = matches!(field("http.status"), Some(Value::I64(500..)))
        || field("job.outcome").is_some_and(|outcome| outcome.as_str() == "failed");
    let (kind, name) = match &*span.name {
        "request" => {
            let parts = ["http.method", "http.route"].map(|name| field(name).map(|value| value.to_string()));
            (SpanKind::Server, Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" ")))
        }
        "job" => (SpanKind::Consumer, field("job.kind").map(|kind| kind.to_string())),
        _ => (SpanKind::Client, None),
    };
    let attributes =
        FIELDS.iter().filter_map(|(ours, theirs)| Some(KeyValue::new(*theirs, field(ours)?))).collect();
    span.span_kind = kind;
    span.name = name.map_or_else(|| span.name.clone(), Into::into);
    span.status = if is_error { Status::error("") } else { Status::Unset };
    span.attributes = attributes;
    span.events = Default::default();
}

/// Calls the collector on the thread of the exporter.
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

    fn filtered(name: &'static str, fields: &[(&'static str, Value)]) -> SpanData {
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
        filter(&mut span);
        span
    }

    #[test]
    fn only_listed_fields_are_exported_and_failures_marked() {
        let of = |status: i64| {
            filtered(
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
            filtered("job", &[("job.kind", "export".into()), ("job.outcome", outcome.into())])
        };
        assert_eq!((&*job("failed").name, job("failed").status), ("export", Status::error("")));
        assert_eq!(job("retried").status, Status::Unset);
    }
}
