//! The ledger: the table `jobs`, which holds the truth about every job. Each operation is one statement; writes about
//! a run carry its lease token, so a worker that has lost the lease changes nothing.

mod backlog;
mod cancel;
mod claim;
mod insert;
pub mod row;

pub use backlog::{DueJob, due, fail_poison};
pub use cancel::{cancel, cancel_all};
pub use claim::{Claim, claim, claim_all, close, close_all, renew};
pub use insert::{Enqueued, insert, insert_selected, placeholders, trace, values};
pub use row::{find, find_all};
