//! An HTTP server in this process that keeps all requests and sends scripted responses.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// For example `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text, of the length in `Content-Length`.
    pub body: String,
    /// The body as it was sent.
    pub bytes: Vec<u8>,
}

impl Request {
    /// The value of a header; `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A server that ends with its connections when it is dropped.
#[derive(Debug)]
pub struct HttpSink {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Vec<Request>,
    answers: VecDeque<Vec<u8>>,
}

impl HttpSink {
    /// Listens on a free port of 127.0.0.1, with TLS if there is an acceptor.
    pub async fn start(tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (addr, shared) = (listener.local_addr()?, Arc::<Mutex<Shared>>::default());
        let mut server = JoinSet::new();
        server.spawn(accept(listener, tls, Arc::clone(&shared)));
        Ok(Self { addr, shared, _server: server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests in the order they arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Adds a response for one of the next requests, from the status to the body: `200 OK\r\nX-A: b\r\n\r\nbody`. An empty
    /// one leaves the request without a response. Without scripted responses, requests get an empty 200.
    pub fn answer(&self, answer: impl Into<Vec<u8>>) {
        self.shared.lock().answers.push_back(answer.into());
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let (tls, shared) = (tls.clone(), Arc::clone(&shared));
            // The client notices a broken connection.
            connections.spawn(async move {
                match tls {
                    Some(tls) => serve(tls.accept(stream).await?, &shared).await,
                    None => serve(stream, &shared).await,
                }
            });
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One request per connection.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let request = read(&mut stream).await?;
    let answer = {
        let mut shared = shared.lock();
        shared.requests.push(request);
        shared.answers.pop_front().unwrap_or_else(|| b"200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())
    };
    if answer.is_empty() {
        // Waits until the client gives up.
        return stream.read_u8().await.map(drop);
    }
    stream.write_all(b"HTTP/1.1 ").await?;
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: String::new(), bytes: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    request.bytes = body;
    Ok(request)
}
