//! The server: how many connections it accepts, how slow clients may be, and how it shuts down.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::ConnectInfo, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt;

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

/// Open files for everything else: the database, Redis, exports.
const OTHER_FILES: usize = 256;

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
    let slots = Arc::new(Semaphore::new(connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(BUFFER);
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
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            if logged_at.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
                tracing::warn!("too many open connections; new ones are closed");
                logged_at = Some(Instant::now());
            }
            continue;
        };
        tune(&stream);
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(responder(&router, peer)));
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// Answers the requests of one client.
fn responder(
    router: &Router,
    peer: SocketAddr,
) -> impl Fn(Request<Incoming>) -> tower::util::Oneshot<Router, Request<Body>> + use<> {
    let router = router.clone();
    move |request| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    }
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
    async fn connections_over_the_limit_are_closed() {
        let (address, _stop) = served(2, HEAD_TIMEOUT).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(call(&mut first).await && call(&mut second).await);
        let mut third = TcpStream::connect(address).await.unwrap();
        assert!(!call(&mut third).await);
        drop(first);
        let next = async { while !call(&mut TcpStream::connect(address).await.unwrap()).await {} };
        tokio::time::timeout(Duration::from_secs(5), next).await.expect("there is room again");
    }
}
