//! Groups of data that change together.

use std::{num::ParseIntError, str::FromStr};

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

impl FromStr for Group {
    type Err = ParseIntError;

    /// Reads what [`Display`](std::fmt::Display) writes.
    fn from_str(name: &str) -> Result<Self, ParseIntError> {
        Ok(match name {
            "everything" => Self::Everything,
            "catalog" => Self::Catalog,
            "occupancy" => Self::Occupancy,
            "users" => Self::Users,
            user => Self::User(user.trim_start_matches("user:").parse()?),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_can_be_read() {
        for group in [Group::Everything, Group::Catalog, Group::Occupancy, Group::Users, Group::User(7)] {
            assert_eq!(group.to_string().parse(), Ok(group));
        }
        assert!("spots".parse::<Group>().is_err());
    }
}
