//! One form for all spellings of a name, a mail address, a phone number, a plate or a password. Pure.
//!
//! `shared` compares by these forms, and `migration` converts what earlier releases stored. Stored keys depend on every
//! rule here: a change needs a migration that recomputes them.

mod characters;
mod mail;
mod name;
mod password;
mod phone;
mod plate;

pub use self::{
    mail::mail,
    name::{MAX_NAME, name, name_key},
    password::password,
    phone::{Country, phone},
    plate::{plate, plate_key},
};
