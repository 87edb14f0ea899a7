//! The database is away, frozen or locked.

use anyhow::{Result, bail};

use super::ground::Ground;
use crate::report::Report;

/// Lets it happen and takes the figures.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_ground: &mut Ground, _report: &mut Report) -> Result<()> {
    bail!("not yet")
}
