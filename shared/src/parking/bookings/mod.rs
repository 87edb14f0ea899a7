//! Bookings of parking spots: from the booking or reservation to the bill.

mod archive_lot;
pub mod attendant;
mod book;
mod cancel;
mod driver;
mod end_all;
mod expiry;
pub mod history;
mod list;
mod occupy;
mod release;
mod reservation;
mod reserve;
mod start;
pub mod stays;

pub(super) use self::end_all::end_all;
pub use self::{
    archive_lot::archive_lot,
    book::book_spot,
    cancel::cancel,
    expiry::expire_no_shows,
    list::{find, list, of_user},
    occupy::occupy_spot,
    release::{Payment, release_spot},
    reservation::Reservation,
    reserve::{NewReservation, reserve},
};
