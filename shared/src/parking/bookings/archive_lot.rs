//! Closing a lot whose reservations nobody came for.

use super::expiry::{Scope, expire};
use crate::{app::App, base::error::Result, parking::lots};

/// Closes a lot for good. Missed reservations do not prevent that, even if the sweep has not ended them yet.
///
/// # Errors
/// As [`lots::archive`].
pub async fn archive_lot(app: &App, id: i64) -> Result<()> {
    expire(app, Scope::Lot(id)).await?;
    lots::archive(app, id).await
}
