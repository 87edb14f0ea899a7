//! Closing a lot whose reservations nobody came for.

use super::expiry::{Scope, expire};
use crate::{
    app::App,
    base::error::Result,
    parking::{audit::Actor, lots},
};

/// Closes a lot for good. Missed reservations do not prevent that, even if the sweep has not ended them yet.
///
/// # Errors
/// As [`lots::archive`].
pub async fn archive_lot(app: &App, by: &Actor, id: i64) -> Result<()> {
    expire(app, Scope::Lot(id)).await?;
    lots::archive(app, by, id).await
}
