//! Whether a process uses the database.

use anyhow::{Result, ensure};

use super::{postgres, sqlite};

const IN_USE: &str = "the database is in use; stop the API and all workers first";

/// Fails if an API or a worker has the database open.
///
/// # Errors
/// In that case, and when the database cannot be opened.
pub async fn ensure_unused(url: &str) -> Result<()> {
    match sqlite::file(url)? {
        Some(file) if file.exists() => sqlite::lock(&file).await.map(drop),
        Some(_) => Ok(()),
        None => {
            ensure!(postgres::is_unused(url).await?, IN_USE);
            Ok(())
        }
    }
}
