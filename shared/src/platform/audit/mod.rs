//! Writing to the audit table: who did what to whom, when and from where. Rows are added in the transaction of the change,
//! and get their place in the chain afterwards.

mod actor;
mod record;

pub use self::{
    actor::{Actor, Origin},
    record::{Action, Object, record},
};
