//! The administrator who controls jobs.

/// The id of an administrator, or `None` on the command line.
pub type Operator = Option<i64>;
