//! Exports of reservations as CSV or XLSX, and of all data of a user as ZIP: requested by a user, written by a job, and kept for download until they expire.

mod cancel;
pub mod cleanup;
pub mod csv;
mod download;
mod export;
pub mod file;
mod formula;
pub mod job;
pub mod line;
mod own_data;
pub mod record;
mod request;
mod write;
mod xlsx;

pub use cancel::{cancel, withdraw_all};
pub use cleanup::{Freed, clean_up, free_space};
pub use download::{Download, download, download_url};
pub use export::{Export, Stage, find, history};
pub use request::{Request, request, request_own_data};
