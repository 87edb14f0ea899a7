//! The pages, as browsers without scripts use them.

mod access;
mod browser;
mod flows;
mod forms;
mod second_factor;
mod security;
mod texts;
mod work;
