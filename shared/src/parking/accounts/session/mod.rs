//! Sessions: a token names a session, and is valid only while that session is open.

mod authenticate;
mod list;
mod open;
mod token;

pub(super) use self::open::{end_all, end_in, end_others, open_confirmed};
pub use self::{
    authenticate::authenticate,
    list::{Session, list},
    open::{Client, end, end_all_of, end_every_other, open, refresh},
    token::session_id,
};
