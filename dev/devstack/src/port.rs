//! Free ports on 127.0.0.1 that stay free while a server is down between `kill` and `restart`.
//!
//! Port 0 would give a port of the ephemeral range, which an outgoing connection may take as its source port while the
//! server is down. These ports are below that range. Each process starts at a different offset and never hands out a
//! port twice, so that tests in parallel do not collide.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

const FIRST: u32 = 18_000;
const COUNT: u32 = 14_000;
/// The distance between the offsets of processes with consecutive ids.
const STRIDE: u32 = 61;

static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 on which nothing listens.
pub fn free_port() -> Result<u16> {
    let start = std::process::id().wrapping_mul(STRIDE) % COUNT;
    for _ in 0..COUNT {
        let step = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + (start + step) % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_distinct_and_can_be_bound() {
        let ports: HashSet<u16> = (0..100).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 100);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_taken_port_is_skipped() {
        let next = free_port().unwrap() + 1;
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        assert_ne!(free_port().unwrap(), next);
    }
}
