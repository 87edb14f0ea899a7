//! Demo data: simulated traffic that looks like that of real car parks, loaded into an empty database.

mod arrivals;
mod bulk_insert;
mod load;
mod names;
mod plan;
mod population;
mod rows;
#[cfg(test)]
mod tests;
mod traffic;

pub use self::{
    load::{Loaded, load},
    plan::{ADMIN, DRIVER, Plan, Size, Span},
};
