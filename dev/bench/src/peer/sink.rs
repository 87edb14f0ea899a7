//! A mail server that counts what it accepts and keeps nothing, so that it costs little beside what is measured.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Ends with its connections when it is dropped.
pub struct Sink {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Sink {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, accepted) = (listener.local_addr()?, Arc::<AtomicUsize>::default());
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&accepted)));
        Ok(Self { address, accepted, _server: server })
    }

    /// Mails accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, accepted: Arc<AtomicUsize>) {
    let mut sessions = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let accepted = Arc::clone(&accepted);
            // The client notices a broken connection.
            sessions.spawn(async move { session(stream, &accepted).await });
        }
        while sessions.try_join_next().is_some() {}
    }
}

async fn session(stream: TcpStream, accepted: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut stream, mut line) = (BufStream::new(stream), Vec::new());
    reply(&mut stream, "220 sink ESMTP").await?;
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let verb: String = line.iter().take(4).map(|byte| char::from(byte.to_ascii_uppercase())).collect();
        match verb.as_str() {
            "EHLO" => reply(&mut stream, "250-sink\r\n250-PIPELINING\r\n250 8BITMIME").await?,
            "DATA" => {
                reply(&mut stream, "354 go ahead").await?;
                while line != b".\r\n" {
                    line.clear();
                    if stream.read_until(b'\n', &mut line).await? == 0 {
                        return Ok(());
                    }
                }
                accepted.fetch_add(1, Ordering::Relaxed);
                reply(&mut stream, "250 2.0.0 accepted").await?;
            }
            "QUIT" => return reply(&mut stream, "221 2.0.0 bye").await,
            _ => reply(&mut stream, "250 2.0.0 ok").await?,
        }
    }
}

async fn reply(stream: &mut BufStream<TcpStream>, text: &str) -> io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.flush().await
}
