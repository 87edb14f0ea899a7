//! Downloading the file of a finished export.

use std::path::PathBuf;

use uuid::Uuid;

use super::{
    export::{Stage, find},
    file,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
};

/// The path at which the API serves the file of an export.
#[must_use]
pub fn download_url(id: Uuid) -> String {
    format!("/api/export/download/{id}")
}

/// The file of a finished export, and the name to suggest for it.
///
/// # Errors
/// [`Error::NotFound`] as for [`find`]; [`Error::Conflict`] while there is no file; [`Error::Gone`] once it has expired.
pub async fn download(app: &App, who: &Identity, id: Uuid) -> Result<(PathBuf, String)> {
    let export = find(app, who, id).await?;
    let path = file::path(&app.config.upload_folder, id);
    match export.stage(app.clock.now()) {
        Stage::Ready if path.is_file() => Ok((path, export.file_name.unwrap_or_else(|| format!("{id}.csv")))),
        Stage::Ready | Stage::Expired => {
            Err(Error::Gone("the file has expired; request a new export".into()))
        }
        Stage::Underway(_) => {
            Err(Error::conflict("export_not_ready", "the export is not finished yet; poll its status"))
        }
        Stage::Failed => Err(Error::conflict("export_failed", "the export failed; request a new one")),
        Stage::Cancelled => Err(Error::conflict("export_cancelled", "the export was cancelled")),
    }
}
