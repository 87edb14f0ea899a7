//! Answers kept in Redis, each with the generations of what it was made from.

use crate::app::App;

/// What changes together. A write that changes one of these makes everything that was made from it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Lots and spots as administrators describe them.
    Catalog,
    /// Which spots are free: any reservation.
    Occupancy,
    /// Any account.
    Users,
    /// One user's account or reservations.
    User(i64),
}

/// To be called after the commit of a write and before it is answered.
pub async fn changed(app: &App, groups: &[Group]) {
    let _ = (app, groups);
}
