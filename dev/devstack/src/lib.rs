//! Private servers and broken networks for tests, the demo and benchmarks; never part of a shipped binary.
//!
//! Everything listens on a free port of 127.0.0.1, keeps its files in a directory of its own and ends with its
//! owner, even when the owner is killed ([`guard`] says how):
//!
//! - [`Redis`] and [`Postgres`]: real servers that can be killed, restarted and paused;
//! - [`Sentinel`]: one that looks after a [`Redis`] and its replicas;
//! - [`MailSink`]: an SMTP server in this process that keeps what it gets, and misbehaves on demand;
//! - [`HttpSink`]: an HTTP server in this process that keeps what it gets, and answers as it is told;
//! - [`Authority`]: certificates for both of them;
//! - [`ChaosProxy`]: a TCP proxy that delays, cuts or swallows;
//! - [`App`]: the built binaries as guarded processes with an environment of their own.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let mut redis = devstack::Redis::start().await?;
//! let sink = devstack::MailSink::start().await?;
//! redis.kill().await?;
//! redis.restart().await?;
//! let mails = sink.wait_for(|mails| mails.len() == 1, std::time::Duration::from_secs(5)).await?;
//! assert_eq!(mails[0].header("Subject").as_deref(), Some("Your parking receipt"));
//! # Ok(())
//! # }
//! ```

pub mod guard;
pub mod http;
pub mod mail;
mod message;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod sentinel;
pub mod tls;

pub use guard::Guard;
pub use http::HttpSink;
pub use mail::{Behaviour, Encryption, MailSink};
pub use message::{Attachment, Mail};
pub use port::free_port;
pub use postgres::Postgres;
pub use process::{App, Memory, Process};
pub use proxy::{ChaosProxy, Mode};
pub use redis::Redis;
pub use sentinel::Sentinel;
pub use tls::Authority;
