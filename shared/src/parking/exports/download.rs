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
    platform::entities::export::Format,
};

/// The path at which the API serves the file of an export.
#[must_use]
pub fn download_url(id: Uuid) -> String {
    format!("/api/export/download/{id}")
}

/// The file of a finished export.
#[derive(Debug)]
pub struct Download {
    /// Where it is.
    pub path: PathBuf,
    /// The name to suggest for it.
    pub name: String,
    /// Its format.
    pub format: Format,
}

/// The file of a finished export.
///
/// # Errors
/// [`Error::NotFound`] as for [`find`]; [`Error::Conflict`] while there is no file; [`Error::Gone`] once it has expired.
pub async fn download(app: &App, who: &Identity, id: Uuid) -> Result<Download> {
    let export = find(app, who, id).await?;
    let format = export.format;
    let path = file::path(&app.config.upload_folder, id, format);
    match export.stage(app.clock.now()) {
        Stage::Ready if path.is_file() => {
            let name = export.file_name.unwrap_or_else(|| format!("{id}.{}", format.as_str()));
            Ok(Download { path, name, format })
        }
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
