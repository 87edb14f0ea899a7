//! Bookings of parking spots: from the booking or reservation to the bill.

mod archive_lot;
pub mod attendant;
mod bill;
mod book;
mod cancel;
mod driver;
mod end_all;
mod expiry;
mod fair_use;
pub mod history;
mod list;
mod occupy;
mod payment;
mod place;
mod release;
mod reschedule;
mod reseat;
mod reservation;
mod reserve;
mod start;
pub mod stays;
mod unpaid;

pub(super) use self::end_all::end_all;
pub use self::{
    archive_lot::archive_lot,
    bill::{StayBill, bill},
    book::book_spot,
    cancel::cancel,
    expiry::expire_no_shows,
    list::{Shown, find, list, of_user},
    occupy::occupy_spot,
    payment::{MAX_REASON, pay, verify_payment, waive},
    place::Place,
    release::release_spot,
    reschedule::{NewWindow, reschedule},
    reseat::reseat_all,
    reservation::Reservation,
    reserve::{NewReservation, reserve},
};
