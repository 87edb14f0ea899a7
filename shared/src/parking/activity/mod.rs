//! The activity log of users: logins, bookings, exports and the like.

mod history;
mod record;

pub(super) use self::record::INSERT;
pub use self::{
    history::{Activity, History, count, history},
    record::{Kind, record},
};
