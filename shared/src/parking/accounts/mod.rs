//! User accounts: registration, login, sessions, changes and deletion.

mod account;
mod admin;
mod create;
mod delete;
mod find;
mod login;
pub mod password;
mod register;
pub mod session;
mod update;
mod user;

pub use self::{
    account::{Registration, Role},
    admin::{create_admin, ensure_admin},
    create::create,
    delete::delete,
    find::{Filter, by_email, by_id, list},
    login::{LoggedIn, log_in, log_out},
    register::register,
    update::{Changes, update},
    user::User,
};
