//! User accounts: registration, login, sessions, vehicles, changes and deletion.

mod account;
mod admin;
mod attendants;
mod confirm;
mod conflict;
mod create;
mod delete;
mod find;
mod login;
pub mod password;
mod phone;
mod plates;
mod register;
mod reset;
pub mod session;
mod strength;
mod update;
mod user;
mod vehicles;
mod verify;

pub use self::{
    account::{Registration, Role},
    admin::{create_admin, ensure_admin},
    attendants::{assign_lots, assigned_lots},
    create::create,
    delete::delete,
    find::{Filter, by_email, by_id, list},
    login::{LoggedIn, log_in, log_out},
    phone::{send_phone_code, verify_phone},
    register::register,
    reset::{by_token, forgot_password, reset_password},
    update::{Changes, update},
    user::User,
    vehicles::{Vehicle, add_vehicle, list_vehicles, remove_vehicle},
    verify::verify_email,
};
