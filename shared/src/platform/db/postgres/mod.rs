//! PostgreSQL: which of its hosts is used, how sessions are set up, and connecting again after an outage.

mod hosts;
mod server;
mod session;

pub(crate) use self::hosts::parse;
pub(super) use self::{
    server::{Connected, connect, connect_once},
    session::LOCK_TIMEOUT,
};
