//! Private servers and network faults for tests, the demo and benchmarks; never part of a shipped binary.
//!
//! Every server listens on a free port of 127.0.0.1, has its own directory, and ends when its owner ends, even by SIGKILL
//! (see [`guard`]):
//!
//! - [`Redis`] and [`Postgres`]: real servers that can be killed, restarted and paused;
//! - [`PgBouncer`]: shares connections to a [`Postgres`] among clients;
//! - [`Sentinel`]: watches a [`Redis`] and its replicas;
//! - [`MailSink`]: an SMTP server in this process that keeps all mails, and fails on demand;
//! - [`HttpSink`]: an HTTP server in this process that keeps all requests, and sends scripted responses;
//! - [`Authority`]: certificates for these;
//! - [`ChaosProxy`]: a TCP proxy that delays, cuts or swallows traffic;
//! - [`App`]: the built binaries as guarded processes with a clean environment.
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
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod sentinel;
pub mod tls;

pub use guard::Guard;
pub use http::HttpSink;
pub use mail::{Attachment, Behaviour, Encryption, Mail, MailSink};
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::Postgres;
pub use process::{App, Memory, Process};
pub use proxy::{ChaosProxy, Mode};
pub use redis::Redis;
pub use sentinel::Sentinel;
pub use tls::Authority;
