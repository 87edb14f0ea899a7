//! The pages, as browsers without scripts use them.

mod access;
mod browser;
mod flows;
mod forms;
mod security;
mod texts;
