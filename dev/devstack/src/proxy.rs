//! A TCP proxy that delays, cuts or swallows the traffic between clients and a server.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::port::free_port;

const BUFFER: usize = 16 * 1024;

/// What the proxy does with every connection, live ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes everything on after this time, in both directions.
    Delay(Duration),
    /// Closes all connections and refuses new ones.
    Cut,
    /// Accepts connections and discards all traffic, which is lost even when the mode changes.
    BlackHole,
}

/// A proxy that ends with its connections when it is dropped.
#[derive(Debug)]
pub struct ChaosProxy {
    addr: SocketAddr,
    commands: mpsc::Sender<Command>,
    /// Has one reference here, one in the listener and one per connection.
    live: Arc<()>,
}

type Command = (Mode, oneshot::Sender<io::Result<()>>);

impl ChaosProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `target`.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))?;
        let (commands, inbox) = mpsc::channel(1);
        let live = Arc::new(());
        tokio::spawn(run(listener, addr, target, inbox, Arc::clone(&live)));
        Ok(Self { addr, commands, live })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.live).saturating_sub(2)
    }

    /// Changes the mode, also of open connections, and returns when it is in effect.
    pub async fn set(&self, mode: Mode) -> Result<()> {
        let (done, in_effect) = oneshot::channel();
        self.commands.send((mode, done)).await.ok().context("the proxy has ended")?;
        in_effect.await.context("the proxy has ended")?.context("the proxy cannot listen again")
    }
}

/// Accepts connections and handles commands until the proxy is dropped.
async fn run(
    listener: TcpListener,
    addr: SocketAddr,
    target: SocketAddr,
    mut commands: mpsc::Receiver<Command>,
    live: Arc<()>,
) {
    let mut listener = Some(listener);
    let modes = watch::Sender::new(Mode::Pass);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some((mode, done)) = command else { return };
                modes.send_replace(mode);
                let mut outcome = Ok(());
                if mode == Mode::Cut {
                    listener = None;
                    connections.shutdown().await;
                } else if listener.is_none() {
                    outcome = TcpListener::bind(addr).await.map(|bound| listener = Some(bound));
                }
                // The caller may have stopped waiting.
                let _ = done.send(outcome);
            }
            client = next(listener.as_ref()) => {
                if let Ok(client) = client {
                    let (live, modes) = (Arc::clone(&live), modes.subscribe());
                    connections.spawn(async move {
                        let _live = live;
                        // After an error the connection is closed, which both sides notice.
                        let _ = forward(client, target, modes).await;
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => pending().await,
    }
}

/// Forwards both directions of a connection until they end.
async fn forward(
    mut client: TcpStream,
    target: SocketAddr,
    mut modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut discarded = vec![0; BUFFER];
    // A black hole does not connect to the server.
    while *modes.borrow_and_update() == Mode::BlackHole {
        tokio::select! {
            _ = modes.changed() => {}
            read = client.read(&mut discarded) => if read? == 0 { return Ok(()) },
        }
    }
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(pump(from_client, to_server, modes.clone()), pump(from_server, to_client, modes))?;
    Ok(())
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        let mode = *modes.borrow();
        if let Mode::Delay(time) = mode {
            tokio::time::sleep(time).await;
        }
        if read == 0 {
            // A black hole swallows the end of the stream too.
            let open = modes.wait_for(|mode| *mode != Mode::BlackHole).await.is_ok();
            return if open { to.shutdown().await } else { Ok(()) };
        }
        if *modes.borrow() != Mode::BlackHole {
            to.write_all(&buffer[..read]).await?;
        }
    }
}
