//! Parking lots: prices, spots and how many of them are free.

mod archive;
pub(crate) mod availability;
mod capacity;
mod create;
mod etag;
mod lot;
mod search;
pub mod spots;
mod terms;
mod update;

pub use self::{
    archive::archive,
    availability::{Moment, next_boundary},
    capacity::finish_retirements,
    create::{NewLot, create},
    etag::{etag, matches},
    lot::{FreeSpot, Lot, When, assigned_to, emptiest, find, free_spots, list},
    search::{Sort, search},
    update::{ChangedLot, LotChange, update},
};
pub(crate) use self::{
    lot::{explain_no_spot, lock, select, touch},
    terms::version_in_force,
};
