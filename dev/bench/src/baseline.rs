//! An axum server without any logic: an upper limit for what an API on axum can reach.

use std::{env, net::SocketAddr};

use anyhow::Result;
use axum::{Router, body::Bytes, http::header, routing::get, serve::ListenerExt};
use bench::testbed::{Testbed, listening};
use devstack::Process;
use tokio::net::TcpListener;

/// Answers without a body.
pub const EMPTY: &str = "/empty";

/// Answers with a body that is already in memory.
pub const BYTES: &str = "/bytes";

#[derive(clap::Args)]
pub struct Options {
    /// Where to listen.
    address: SocketAddr,
    /// Size of the body of `/bytes`.
    bytes: usize,
}

/// Serves until the process is killed.
pub async fn serve(options: &Options) -> Result<()> {
    let body = Bytes::from(vec![b' '; options.bytes]);
    let bytes = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    let routes = Router::new().route(EMPTY, get(|| async {})).route(BYTES, get(bytes));
    // As the API does.
    let listener = TcpListener::bind(options.address).await?.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    Ok(axum::serve(listener, routes).await?)
}

/// Starts the server as a process of its own, as the API is. Returns its address.
pub async fn start(testbed: &Testbed, bytes: usize) -> Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", devstack::free_port()?);
    let arguments = ["baseline", &address, &bytes.to_string()];
    let server = testbed.spawn(&env::current_exe()?, &arguments, &[])?;
    listening(&server, &address).await?;
    Ok((server, address))
}
