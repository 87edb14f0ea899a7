//! An HTTP server in this process that keeps the requests it gets and answers as it is told.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Such as `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// By `Content-Length`.
    pub body: String,
    /// The same where it is no text.
    pub bytes: Vec<u8>,
}

impl Request {
    /// The value of a header, which is named in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A listening server; it and its connections end when it is dropped.
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
    /// Listens on a free port of 127.0.0.1, with TLS where there is an acceptor.
    ///
    /// # Errors
    /// When there is none.
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

    /// The requests so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared).requests.clone()
    }

    /// Answers one of the next requests so, from status line to body, as `200 OK\r\nX-A: b\r\n\r\nbody`; an empty answer
    /// never comes. Others get an empty 200.
    pub fn answer(&self, answer: impl Into<Vec<u8>>) {
        lock(&self.shared).answers.push_back(answer.into());
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let (tls, shared) = (tls.clone(), Arc::clone(&shared));
            // A broken connection is the client's to notice.
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

/// One request a connection.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let request = read(&mut stream).await?;
    let answer = {
        let mut shared = lock(shared);
        shared.requests.push(request);
        shared.answers.pop_front().unwrap_or_else(|| b"200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())
    };
    if answer.is_empty() {
        // Until the client gives up.
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
