//! A server on axum that does nothing: what no API on axum can be faster than.

use std::net::SocketAddr;

use anyhow::Result;
use axum::{Router, body::Bytes, http::header, routing::get, serve::ListenerExt};
use tokio::net::TcpListener;

/// The path that answers without a body.
pub const NOTHING: &str = "/nothing";

/// The path that answers a body that is there already.
pub const BYTES: &str = "/bytes";

/// Where, and how much it answers.
#[derive(clap::Args)]
pub struct Options {
    address: SocketAddr,
    bytes: usize,
}

/// Answers until it is killed.
pub async fn serve(options: &Options) -> Result<()> {
    let body = Bytes::from(vec![b' '; options.bytes]);
    let bytes = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    let routes = Router::new().route(NOTHING, get(|| async {})).route(BYTES, get(bytes));
    // As the API does.
    let listener = TcpListener::bind(options.address).await?.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    Ok(axum::serve(listener, routes).await?)
}
