//! Tariffs of lots: their versions, and the public holidays that these know.

mod add;
pub mod calendar;
mod holidays;
mod versions;

pub use self::{
    add::{NewTariff, add, check},
    holidays::{MAX_HOLIDAYS, holidays, set_holidays},
    versions::{Version, list},
};
