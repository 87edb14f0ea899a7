//! Rate limits by GCRA: a number of calls in any window of time, counted in Redis for all processes.

mod advance;
mod budget;
mod limiter;

pub use self::{budget::Decision, limiter::RateLimiter};
pub use crate::platform::config::{Action, Budget};
