//! Shared by the benchmarks and by `chaos`: a lean HTTP client, reports, and private servers.

pub mod http;
pub mod report;
pub mod testbed;
