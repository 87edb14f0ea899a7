//! A TCP proxy that delays, cuts or swallows what passes between a client and a server.

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
    /// Passes each piece on after this time, in both directions.
    Delay(Duration),
    /// Closes all connections and refuses new ones.
    Cut,
    /// Accepts, swallows what comes and answers nothing. What was swallowed stays lost when the mode changes.
    BlackHole,
}

/// A proxy in front of one server; it and its connections end when it is dropped.
#[derive(Debug)]
pub struct ChaosProxy {
    addr: SocketAddr,
    orders: mpsc::Sender<Order>,
    /// Held once here, once by the listener and once by each connection.
    live: Arc<()>,
}

type Order = (Mode, oneshot::Sender<io::Result<()>>);

impl ChaosProxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `target`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))?;
        let (orders, inbox) = mpsc::channel(1);
        let live = Arc::new(());
        tokio::spawn(run(listener, addr, target, inbox, Arc::clone(&live)));
        Ok(Self { addr, orders, live })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.live).saturating_sub(2)
    }

    /// Changes the mode and returns when it is in force, for live connections too.
    ///
    /// # Errors
    /// When the port cannot be listened on again after [`Mode::Cut`].
    pub async fn set(&self, mode: Mode) -> Result<()> {
        let (done, in_force) = oneshot::channel();
        self.orders.send((mode, done)).await.ok().context("the proxy has ended")?;
        in_force.await.context("the proxy has ended")?.context("the proxy cannot listen again")
    }
}

/// Accepts connections and takes orders until the owner drops the other end.
async fn run(
    listener: TcpListener,
    addr: SocketAddr,
    target: SocketAddr,
    mut orders: mpsc::Receiver<Order>,
    live: Arc<()>,
) {
    let mut listener = Some(listener);
    let modes = watch::Sender::new(Mode::Pass);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((mode, done)) = order else { return };
                modes.send_replace(mode);
                let mut outcome = Ok(());
                if mode == Mode::Cut {
                    listener = None;
                    connections.shutdown().await;
                } else if listener.is_none() {
                    outcome = TcpListener::bind(addr).await.map(|bound| listener = Some(bound));
                }
                // Whoever ordered may have stopped waiting.
                let _ = done.send(outcome);
            }
            client = next(listener.as_ref()) => {
                if let Ok(client) = client {
                    let (live, modes) = (Arc::clone(&live), modes.subscribe());
                    connections.spawn(async move {
                        let _live = live;
                        // An error is a closed connection, which both ends notice.
                        let _ = carry(client, target, modes).await;
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

/// One connection, from the client's to the end of both directions.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    mut modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut lost = vec![0; BUFFER];
    // A black hole has no server behind it.
    while *modes.borrow_and_update() == Mode::BlackHole {
        tokio::select! {
            _ = modes.changed() => {}
            read = client.read(&mut lost) => if read? == 0 { return Ok(()) },
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
            // Not even the end of the stream comes out of a black hole.
            let open = modes.wait_for(|mode| *mode != Mode::BlackHole).await.is_ok();
            return if open { to.shutdown().await } else { Ok(()) };
        }
        if *modes.borrow() != Mode::BlackHole {
            to.write_all(&buffer[..read]).await?;
        }
    }
}
