//! A small HTTP load balancer: it polls the readiness of each server, keeps connections to the ready ones, and tries
//! another server when one refuses the connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bench::http::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::client::Client;

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Ends when it is dropped.
pub struct Balancer {
    pub address: String,
    servers: Arc<Servers>,
    _tasks: JoinSet<()>,
}

struct Servers {
    all: Vec<Server>,
    next: AtomicUsize,
}

struct Server {
    address: String,
    is_ready: AtomicBool,
}

impl Balancer {
    pub async fn start(addresses: &[String]) -> Result<Self> {
        let of = |address: &String| Server { address: address.clone(), is_ready: AtomicBool::new(true) };
        let all = addresses.iter().map(of).collect();
        let servers = Arc::new(Servers { all, next: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let mut tasks = JoinSet::new();
        for number in 0..addresses.len() {
            let servers = servers.clone();
            tasks.spawn(async move { servers.all[number].poll().await });
        }
        let serving = servers.clone();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let servers = serving.clone();
                // After an error the connection is closed, which the client notices.
                clients.spawn(async move { servers.serve(client).await });
            }
        });
        Ok(Self { address, servers, _tasks: tasks })
    }

    /// Waits until this server gets requests.
    pub async fn wait_until_used(&self, number: usize) {
        while !self.servers.all[number].is_ready.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Server {
    async fn poll(&self) {
        loop {
            let mut client = Client::new(&self.address, String::new());
            let response = client.get("/api/health/ready").await;
            self.is_ready.store(response.is_some_and(|(status, _)| status == 200), Ordering::Relaxed);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Servers {
    /// Forwards the requests of a client's connection.
    async fn serve(&self, mut client: TcpStream) -> Result<()> {
        let mut upstream: Option<(usize, Connection)> = None;
        let mut buffer = Vec::new();
        loop {
            let request = next_request(&mut client, &mut buffer).await?;
            upstream = upstream.filter(|(number, _)| self.all[*number].is_ready.load(Ordering::Relaxed));
            let (number, mut server) = match upstream.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            let response = server.forward(&request).await?;
            client.write_all(response).await?;
            let head =
                String::from_utf8_lossy(&response[..end_of_head(response).unwrap_or(0)]).to_ascii_lowercase();
            if !head.contains("\r\nconnection: close") {
                upstream = Some((number, server));
            }
        }
    }

    /// To the next ready server; if there is none, to any that accepts the connection.
    async fn connect(&self) -> Result<(usize, Connection)> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let all = (0..self.all.len()).map(|step| (first + step) % self.all.len());
        let (ready, others): (Vec<_>, Vec<_>) =
            all.partition(|number| self.all[*number].is_ready.load(Ordering::Relaxed));
        for number in ready.into_iter().chain(others) {
            if let Ok(connection) = Connection::open(&self.all[number].address).await {
                return Ok((number, connection));
            }
        }
        bail!("no server accepts connections")
    }
}

async fn next_request(client: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Vec<u8>> {
    loop {
        if let Some(head) = end_of_head(buffer) {
            let text = std::str::from_utf8(&buffer[..head])?;
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = head + length.map_or(Ok(0), str::parse::<usize>)?;
            if buffer.len() >= whole {
                return Ok(buffer.drain(..whole).collect());
            }
        }
        if client.read_buf(buffer).await.context("reading a request")? == 0 {
            bail!("the client closed the connection");
        }
    }
}

/// The offset of the body.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|position| position + 4)
}
