//! A small HTTP proxy in front of some servers, as any is in front of a real installation: it asks each whether it is ready,
//! keeps connections to those that are, and asks another one when one refuses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{http::Connection, people::Client};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The proxy; it ends when it is dropped.
pub struct Balancer {
    /// Where clients connect.
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
    /// Listens in front of these servers.
    pub async fn start(addresses: &[String]) -> Result<Self> {
        let of = |address: &String| Server { address: address.clone(), is_ready: AtomicBool::new(true) };
        let all = addresses.iter().map(of).collect();
        let servers = Arc::new(Servers { all, next: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let mut tasks = JoinSet::new();
        for number in 0..addresses.len() {
            let servers = servers.clone();
            tasks.spawn(async move { servers.all[number].watch().await });
        }
        let serving = servers.clone();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let servers = serving.clone();
                // An error is a closed connection, which the client notices.
                clients.spawn(async move { servers.serve(client).await });
            }
        });
        Ok(Self { address, servers, _tasks: tasks })
    }

    /// Waits until this server gets requests (again).
    pub async fn uses(&self, number: usize) {
        while !self.servers.all[number].is_ready.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Server {
    async fn watch(&self) {
        loop {
            let mut client = Client::new(&self.address, String::new());
            let answer = client.get("/api/health/ready").await;
            self.is_ready.store(answer.is_some_and(|(status, _)| status == 200), Ordering::Relaxed);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Servers {
    /// One client's connection, with one to a server behind it.
    async fn serve(&self, mut client: TcpStream) -> Result<()> {
        let mut behind: Option<(usize, Connection)> = None;
        let mut buffer = Vec::new();
        loop {
            let request = next_request(&mut client, &mut buffer).await?;
            behind = behind.filter(|(number, _)| self.all[*number].is_ready.load(Ordering::Relaxed));
            let (number, mut server) = match behind.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            let answer = server.pass(&request).await?;
            client.write_all(answer).await?;
            let says_goodbye = |head: &str| head.to_ascii_lowercase().contains("\r\nconnection: close");
            if !says_goodbye(&String::from_utf8_lossy(&answer[..head_of(answer).unwrap_or(0)])) {
                behind = Some((number, server));
            }
        }
    }

    /// To the next server that is ready; to any that lets us in, when none is.
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
        bail!("no server lets us in")
    }
}

async fn next_request(client: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Vec<u8>> {
    loop {
        if let Some(head) = head_of(buffer) {
            let text = std::str::from_utf8(&buffer[..head])?;
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = head + length.map_or(Ok(0), str::parse::<usize>)?;
            if buffer.len() >= whole {
                return Ok(buffer.drain(..whole).collect());
            }
        }
        if client.read_buf(buffer).await.context("the client")? == 0 {
            bail!("the client is gone");
        }
    }
}

/// Where the body begins.
fn head_of(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|position| position + 4)
}
