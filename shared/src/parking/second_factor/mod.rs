//! The second factor of an account: time-based codes (RFC 6238), with recovery codes for a lost device.

mod accept;
mod code;
mod step_up;
mod store;

pub(in crate::parking) use self::{
    accept::{accept, check_login},
    code::{RECOVERY_CODES, base32, normalized, recovery_code},
    store::{add_recovery_code, insert, lock, remove, remove_recovery_codes, set_confirmed},
};
pub use self::{
    step_up::{require_fresh, verify},
    store::{Status, status},
};
