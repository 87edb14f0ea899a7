//! User accounts: registration, login, sessions, vehicles, changes and deletion.

mod account;
mod address;
mod admin;
mod attendants;
mod confirm;
mod conflict;
mod create;
mod delete;
mod enrol;
mod find;
mod guard;
mod hashing;
mod known;
mod login;
pub mod password;
mod phone;
mod plates;
mod register;
mod reset;
pub mod session;
mod strength;
mod unverified;
mod update;
mod user;
mod vehicles;
mod verify;

pub use self::{
    account::{Registration, Role},
    address::{by_token, resend_verification, undo_email_change},
    admin::{create_admin, ensure_admin},
    attendants::{assign_lots, assigned_lots},
    create::create,
    delete::{delete, delete_as, delete_own},
    enrol::{
        Enrolment, begin_second_factor, confirm_second_factor, enrolment, remove_second_factor,
        remove_second_factor_of, renew_recovery_codes,
    },
    find::{Filter, by_email, by_id, list},
    known::KNOWN_FOR,
    login::{LoggedIn, log_in, log_out},
    phone::{send_phone_code, verify_phone},
    register::register,
    reset::{forgot_password, reset_password},
    unverified::remove_unverified,
    update::{Changes, update},
    user::User,
    vehicles::{Vehicle, add_vehicle, list_vehicles, remove_vehicle},
    verify::verify_email,
};
