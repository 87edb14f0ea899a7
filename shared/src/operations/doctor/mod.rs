//! The doctor: checks everything that Parkade depends on, and suggests how to fix what is wrong. It changes nothing.

mod clocks;
mod database;
mod examine;
mod host;
mod mail;
mod redis;
mod rules;
mod verdict;

pub use self::{
    database::currency_conflict,
    examine::{Finding, examine},
    verdict::{Level, Verdict},
};
