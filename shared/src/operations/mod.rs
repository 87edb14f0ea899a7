//! What operators do with a running system. Imports `parking`, which does not import it.

pub mod backup;
pub mod cleanup;
pub mod clear;
pub mod copy;
pub mod dashboard;
pub mod database_info;
pub mod demo;
pub mod doctor;
pub mod integrity;
pub mod reset;
pub mod schedules;
pub mod schema;
pub mod simulate;

pub use self::schema::TABLES;
