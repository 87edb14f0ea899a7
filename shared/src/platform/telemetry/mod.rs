//! What operators see of the processes: logs, traces and how they ended.

mod logs;
pub mod spans;
mod trace;

pub use self::{
    logs::{exit_code, init},
    trace::{in_trace, new_trace_id, parse_traceparent, trace_id},
};
