//! Bookings of parking spots: from the booking or reservation to the bill.

mod archive_lot;
pub mod attendant;
mod bill;
mod book;
mod by_plate;
mod cancel;
mod car;
mod driver;
mod duty;
mod end_all;
mod expiry;
mod fair_use;
mod fast_path;
pub mod history;
mod house;
mod list;
mod occupy;
mod payment;
mod place;
mod receipt;
mod refund;
mod release;
mod reschedule;
mod reseat;
mod reservation;
mod reserve;
mod start;
pub mod stays;
mod stuck;
mod unpaid;

pub(super) use self::end_all::end_all;
pub use self::{
    archive_lot::archive_lot,
    bill::{StayBill, bill},
    book::book_spot,
    by_plate::{arrive_by_plate, depart_by_plate},
    cancel::cancel,
    duty::check_on_duty,
    expiry::expire_no_shows,
    list::{Shown, expected_at, find, list, of_user, plates_at, unpaid_at},
    occupy::occupy_spot,
    payment::{MAX_REASON, pay, verify_payment, waive},
    place::Place,
    receipt::receipt_text,
    refund::refund,
    release::release_spot,
    reschedule::{NewWindow, reschedule},
    reseat::reseat_all,
    reservation::Reservation,
    reserve::{NewReservation, reserve},
};
