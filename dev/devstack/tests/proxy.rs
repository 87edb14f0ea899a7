//! The proxy passes, delays, cuts and swallows traffic, on new and on open connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use devstack::{ChaosProxy, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

/// A server that sends back what it gets.
async fn echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Ok(addr)
}

/// Sends `text` and reads as many bytes back.
async fn exchange(stream: &mut TcpStream, text: &str) -> Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut answer)).await??;
    Ok(String::from_utf8(answer)?)
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(SOON, stream.read(&mut [0])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn traffic_passes_and_connections_are_counted() -> Result<()> {
    let proxy = ChaosProxy::start(echo().await?).await?;
    assert_eq!(proxy.connections(), 0);
    let mut first = TcpStream::connect(proxy.addr()).await?;
    let mut second = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(exchange(&mut first, "one").await?, "one");
    let long = "x".repeat(100_000);
    assert!(exchange(&mut second, &long).await? == long);
    assert_eq!(proxy.connections(), 2);

    // A half-close is forwarded in both directions.
    first.shutdown().await?;
    assert!(is_closed(&mut first).await);
    let deadline = Instant::now() + SOON;
    while proxy.connections() != 1 {
        ensure!(Instant::now() < deadline, "a closed connection is still counted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(proxy);
    assert!(is_closed(&mut second).await);
    Ok(())
}

#[tokio::test]
async fn a_delay_applies_to_both_directions_at_once() -> Result<()> {
    let proxy = ChaosProxy::start(echo().await?).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    exchange(&mut stream, "fast").await?;
    proxy.set(Mode::Delay(SHORT)).await?;
    let start = Instant::now();
    assert_eq!(exchange(&mut stream, "slow").await?, "slow");
    assert!(start.elapsed() >= 2 * SHORT, "{:?}", start.elapsed());
    proxy.set(Mode::Pass).await?;
    let start = Instant::now();
    exchange(&mut stream, "fast").await?;
    assert!(start.elapsed() < 2 * SHORT, "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_cut_closes_and_refuses_connections() -> Result<()> {
    let proxy = ChaosProxy::start(echo().await?).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    exchange(&mut stream, "alive").await?;
    proxy.set(Mode::Cut).await?;
    assert!(is_closed(&mut stream).await);
    assert_eq!(proxy.connections(), 0);
    assert!(TcpStream::connect(proxy.addr()).await.is_err());

    proxy.set(Mode::Pass).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    assert_eq!(exchange(&mut stream, "again").await?, "again");
    Ok(())
}

#[tokio::test]
async fn a_black_hole_swallows_everything() -> Result<()> {
    let proxy = ChaosProxy::start(echo().await?).await?;
    let mut live = TcpStream::connect(proxy.addr()).await?;
    exchange(&mut live, "alive").await?;
    proxy.set(Mode::BlackHole).await?;
    let mut new = TcpStream::connect(proxy.addr()).await?;
    for stream in [&mut live, &mut new] {
        // More than the kernel buffers, so the proxy must read it.
        timeout(SOON, stream.write_all(&vec![b'x'; 16 << 20])).await??;
        assert!(timeout(SHORT, stream.read(&mut [0])).await.is_err(), "a black hole answers");
    }
    // Lets traffic arrive that would otherwise pass after the change of mode.
    tokio::time::sleep(SHORT).await;
    proxy.set(Mode::Pass).await?;
    for stream in [&mut live, &mut new] {
        assert_eq!(exchange(stream, "back").await?, "back");
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_target_closes_clients_except_in_a_black_hole() -> Result<()> {
    let dead = SocketAddr::from(([127, 0, 0, 1], devstack::free_port()?));
    let proxy = ChaosProxy::start(dead).await?;
    assert!(is_closed(&mut TcpStream::connect(proxy.addr()).await?).await);
    proxy.set(Mode::BlackHole).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await?;
    assert!(timeout(SHORT, stream.read(&mut [0])).await.is_err());
    Ok(())
}
