//! What the client still sends when the response is ready.
//!
//! Most clients write head and body separately. If the connection were closed after an early response, the second write would fail
//! and the client would report that failure instead of the response. So the rest of the body is read first, up to a limit.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures::StreamExt;
use hyper::body::{Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tower::ServiceExt;

/// At most this much of a body is read after the response is ready.
const MAX_REST: u64 = 1024 * 1024;

/// The rest of a body must arrive within this time.
const REST_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a request and reads what the handler left of its body. If that is too much, the response closes the connection. The
/// flag says whether the whole body was read.
pub(crate) async fn run(router: Router, request: Request<Incoming>) -> Result<(Response, bool), Infallible> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        let response = router.oneshot(Request::from_parts(parts, Body::empty())).await?;
        return Ok((response, true));
    }
    let waits = waits_for_continue(&parts.headers);
    let body = SharedBody(Arc::new(Mutex::new(Reading { body, is_begun: !waits })));
    let mut response = router.oneshot(Request::from_parts(parts, Body::new(body.clone()))).await?;
    let is_read = body.read_rest().await;
    if !is_read {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok((response, is_read))
}

/// Whether the client sends the body only after the server has agreed to read it (RFC 9110, 10.1.1).
pub(crate) fn waits_for_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A body that the handler reads, and from which the rest is read when the handler has dropped it.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Reading>>);

struct Reading {
    body: Incoming,
    /// Hyper sends 100 when a body is first polled, so one that waits for it is read only if the handler has begun.
    is_begun: bool,
}

impl SharedBody {
    /// Whether the end was reached.
    async fn read_rest(self) -> bool {
        // A write that outlived its deadline may still hold the body.
        let Some(reading) = Arc::into_inner(self.0) else { return false };
        let Reading { body, is_begun } = reading.into_inner();
        if !is_begun || body.size_hint().lower() > MAX_REST {
            return false;
        }
        tokio::time::timeout(REST_TIMEOUT, discard(body)).await.unwrap_or(false)
    }
}

async fn discard(body: Incoming) -> bool {
    let (mut pieces, mut received) = (Body::new(body).into_data_stream(), 0);
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else { return false };
        received += piece.len() as u64;
        if received > MAX_REST {
            return false;
        }
    }
    true
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut reading = self.0.lock();
        reading.is_begun = true;
        Pin::new(&mut reading.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}
