//! The audit table: who did what to whom, when and from where. Rows are added in the transaction of the change and never
//! changed or removed, which the database enforces.

mod actor;
mod list;
mod record;

pub use self::{
    actor::{Actor, Origin},
    list::{Row, list},
    record::{Action, Object, record},
};
