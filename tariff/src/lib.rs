//! Parking tariffs, and bills that name the rule behind every line. Pure: no input or output, and no clock.
//!
//! [`Version`] is what an operator writes and what is stored, [`Version::validate`] says what is wrong with it, and
//! [`bill`] prices a stay by it. Amounts are whole minor units (paise, cents) of one currency. Stored bills depend on
//! every rule here: a change that gives another amount for the same stay needs a new kind of line, cap or charge.

mod bill;
mod calendar;
mod local_time;
mod plan;
mod statement;
mod tax;
mod validate;
mod version;
mod walk;
mod words;

pub use self::{
    bill::{Bill, BillLine, Rule},
    local_time::{LocalTime, Window},
    tax::{Tax, TaxAmount, TaxRate, percent},
    validate::Problem,
    version::{Caps, Charge, Elapsed, Line, Version},
    walk::{bill, lost_ticket},
};
