//! Groups of data that change together.

/// A write that changes one of these makes every response that was computed from it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Every response depends on it.
    Everything,
    /// Lots and spots as administrators describe them.
    Catalog,
    /// Which spots are free: any reservation.
    Occupancy,
    /// Any account.
    Users,
    /// One user's account or reservations.
    User(i64),
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Catalog => f.write_str("catalog"),
            Self::Occupancy => f.write_str("occupancy"),
            Self::Users => f.write_str("users"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}
