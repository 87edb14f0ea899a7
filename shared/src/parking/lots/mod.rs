//! Parking lots: prices, spots and how many of them are free.

mod archive;
mod capacity;
mod create;
mod etag;
mod lot;
pub mod spots;
mod update;

pub(crate) use self::lot::{FREE_SPOTS, SELECT, explain_no_spot};
pub use self::{
    archive::archive,
    capacity::finish_retirements,
    create::{NewLot, create},
    etag::{etag, matches},
    lot::{FreeSpot, Lot, emptiest, find, free_spots, list},
    update::{LotChange, update},
};
