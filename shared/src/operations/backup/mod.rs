//! Backups: the whole database in one file, and its restoration, verified row by row.

mod archive;
mod checksum;
mod create;
mod files;
mod postgres;
mod restore;
mod sqlite;
mod tables;

pub(super) use self::sqlite::is_missing;
pub use self::{
    archive::Manifest,
    checksum::{Rows, Tables},
    create::create,
    files::{file_name, files},
    restore::{PHRASE, inspect, restore},
};
