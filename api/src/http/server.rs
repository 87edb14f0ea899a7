//! The server: how many connections it accepts, how slow clients may be, and how it shuts down.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::http::{
    linger::{Lingering, Received},
    problem::{self, Problem},
    request_id, unread,
};

/// The head of a request must arrive within this time, and the next request on an idle connection. Proxies close idle
/// connections after a minute by default; they should do it first, as we might close one just as a request arrives.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// A client that acknowledges nothing for this long is cut off.
#[cfg(target_os = "linux")]
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The size of the head of a request, and of what is buffered of a response.
const BUFFER: usize = 64 * 1024;

/// Connections at once, if the operating system allows that many open files.
const MAX_CONNECTIONS: usize = 10_000;

/// Connections above that which are answered with 503 before they are closed. More are closed at once.
const EXTRA_CONNECTIONS: usize = 64;

/// The head of a request on an extra connection must arrive within this time.
const EXTRA_HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// File descriptors reserved for everything else: the database, Redis, exports, extra connections.
const OTHER_FILES: usize = 256 + EXTRA_CONNECTIONS;

/// The wait after a failed `accept`, for instance because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then finishes the open requests.
///
/// # Errors
/// When the limit of open files cannot be read or raised.
pub async fn serve_until(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    serve(listener, router, stop, max_connections()?, HEAD_TIMEOUT).await;
    Ok(())
}

async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    connections: usize,
    head_timeout: Duration,
) {
    let usual = Entrance::new(connections, router, head_timeout);
    let extra = Entrance::new(EXTRA_CONNECTIONS, Router::new().fallback(refuse), EXTRA_HEAD_TIMEOUT);
    let (open, mut stop, mut logged_at) = (GracefulShutdown::new(), pin!(stop), None::<Instant>);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some(slot) = usual.slot() {
            usual.serve(stream, peer, slot, open.watcher());
            continue;
        }
        if logged_at.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            tracing::warn!("too many open connections; new ones are refused");
            logged_at = Some(Instant::now());
        }
        if let Some(slot) = extra.slot() {
            extra.serve(stream, peer, slot, open.watcher());
        }
    }
    drop(listener);
    open.shutdown().await;
}

/// How a number of connections is served.
struct Entrance {
    slots: Arc<Semaphore>,
    router: Router,
    http: http1::Builder,
}

impl Entrance {
    fn new(connections: usize, router: Router, head_timeout: Duration) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(BUFFER);
        Self { slots: Arc::new(Semaphore::new(connections)), router, http }
    }

    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().try_acquire_owned().ok()
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit, watcher: Watcher) {
        tune(&stream);
        let received = Received::default();
        let socket = TokioIo::new(Lingering::new(stream, received.clone()));
        let router = self.router.clone();
        let service = service_fn(move |request| run(router.clone(), peer, received.clone(), request));
        let connection = watcher.watch(self.http.serve_connection(socket, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(slot);
        });
    }
}

async fn run(
    router: Router,
    peer: SocketAddr,
    received: Received,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let (response, is_read) = unread::run(router, request).await?;
    if is_read {
        received.mark_used();
    }
    Ok(response)
}

/// The response on a connection above the limit.
async fn refuse(request: Request) -> Response {
    let (mut response, id) = (Problem::at_capacity().into_response(), request_id::of(request.headers()));
    problem::complete(&mut response, request.uri().path(), &id);
    request_id::add(&mut response, &id);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn tune(stream: &TcpStream) {
    let set = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let set = set.and_then(|()| socket2::SockRef::from(stream).set_tcp_user_timeout(Some(SEND_TIMEOUT)));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// Raises the limit of open files as far as allowed, and leaves some for everything else.
fn max_connections() -> std::io::Result<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current < maximum || maximum.is_none() && current.is_some() {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    let files = maximum.and_then(|files| files.try_into().ok()).unwrap_or(usize::MAX);
    Ok(MAX_CONNECTIONS.min(files.saturating_sub(OTHER_FILES)).max(1))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
    };

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn served(connections: usize, head_timeout: Duration) -> (SocketAddr, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, stopped)) = (listener.local_addr().unwrap(), oneshot::channel());
        let router = Router::new().route("/", get(async || "hello"));
        let stopped = async { drop(stopped.await) };
        tokio::spawn(async move { serve(listener, router, stopped, connections, head_timeout).await });
        (address, stop)
    }

    /// Sends one request; whether it was answered with 200.
    async fn call(client: &mut TcpStream) -> bool {
        let mut answer = [0; 15];
        client.write_all(REQUEST).await.is_ok()
            && client.read_exact(&mut answer).await.is_ok()
            && &answer == b"HTTP/1.1 200 OK"
    }

    #[tokio::test]
    async fn slow_or_silent_clients_are_cut_off() {
        let timeout = Duration::from_millis(300);
        let (address, _stop) = served(10, timeout).await;
        let begun = Instant::now();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
        let trickle = async {
            for byte in REQUEST.iter().cycle() {
                if writing.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let mut rest = Vec::new();
        tokio::select! {
            () = trickle => {}
            _ = reading.read_to_end(&mut rest) => {}
        }
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
        assert_eq!(silent.read(&mut [0; 100]).await.unwrap_or(0), 0);
        assert!((timeout..timeout * 10).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn connections_over_the_limit_get_503_and_are_closed() {
        let (address, _stop) = served(2, HEAD_TIMEOUT).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(call(&mut first).await && call(&mut second).await);
        let mut third = TcpStream::connect(address).await.unwrap();
        let mut refused = String::new();
        third.write_all(REQUEST).await.unwrap();
        third.read_to_string(&mut refused).await.unwrap();
        let has = |line| refused.to_ascii_lowercase().lines().any(|found| found == line);
        assert!(has("http/1.1 503 service unavailable") && has("retry-after: 1"), "{refused}");
        assert!(has("connection: close") && refused.contains("overloaded"), "{refused}");
        drop(first);
        let next = async { while !call(&mut TcpStream::connect(address).await.unwrap()).await {} };
        tokio::time::timeout(Duration::from_secs(5), next).await.expect("there is room again");
    }
}
