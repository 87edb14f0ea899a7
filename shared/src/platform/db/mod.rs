//! The database: connections, transactions, and the few places where SQLite and PostgreSQL differ.

mod database;
mod engine;
mod file_lock;
mod lock_holder;
mod pool;
mod postgres;
mod retry;
mod sql;
mod sqlite;
mod target;
#[cfg(test)]
mod tests;
mod wal;
mod watchdog;

pub use self::{
    database::Db,
    engine::Engine,
    pool::{Pool, Transaction},
    sql::{at, micros, row_lock, sql, violates},
    target::target,
};
pub(crate) use self::{postgres::parse as parse_postgres_url, retry::retry_on_conflict};
