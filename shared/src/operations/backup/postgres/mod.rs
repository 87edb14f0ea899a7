//! PostgreSQL: `pg_dump` of a snapshot whose rows are also checksummed; restored by `psql` in one transaction.

mod create;
mod programs;
mod psql;
mod restore;

pub(super) use self::{
    create::create,
    restore::{is_unused, restore},
};
