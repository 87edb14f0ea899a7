//! Bills of many tariffs, as tables and against a second calculation.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "this is test code")]

mod cases;
mod clocks;
mod oracle;
mod properties;
mod published;
mod random;
mod table;
