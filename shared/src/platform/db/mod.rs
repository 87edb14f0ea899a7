//! The database: connections, transactions, and the few places where SQLite and PostgreSQL differ.

mod database;
mod engine;
mod pool;
mod postgres;
mod retry;
mod sql;
mod sqlite;
#[cfg(test)]
mod tests;
mod wal;
mod watchdog;

pub(crate) use self::retry::retry_on_conflict;
pub use self::{
    database::Db,
    engine::Engine,
    pool::{Pool, Transaction},
    sql::{at, micros, row_lock, sql, violates},
};
