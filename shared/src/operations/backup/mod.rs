//! Backups: the whole database in one file, and its restoration, verified row by row.

mod archive;
mod checksum;
mod create;
mod files;
mod in_use;
mod postgres;
mod restore;
mod sqlite;
mod tables;

pub(super) use self::tables::are_empty;
pub use self::{
    archive::Manifest,
    checksum::{Rows, Tables},
    create::create,
    files::{file_name, files},
    in_use::ensure_unused,
    restore::{PHRASE, inspect, restore},
    sqlite::is_missing,
};
