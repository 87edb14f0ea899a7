//! Who does something, and from where.

use std::net::IpAddr;

use crate::base::identity::Identity;

/// Who does something, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The administrator; `None` on the command line.
    pub user_id: Option<i64>,
    /// From where.
    pub origin: Origin,
}

/// Where an order comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A request, from the address of the client if it is known.
    Request(Option<IpAddr>),
    /// The command line.
    CommandLine,
    /// The settings, when a process starts.
    Settings,
    /// A job that runs by itself.
    Schedule,
}

impl Actor {
    /// An operator on the command line.
    pub const COMMAND_LINE: Self = Self { user_id: None, origin: Origin::CommandLine };

    /// The settings of a process that starts.
    pub const SETTINGS: Self = Self { user_id: None, origin: Origin::Settings };

    /// A job that runs by itself.
    pub const SCHEDULE: Self = Self { user_id: None, origin: Origin::Schedule };
}

impl From<&Identity> for Actor {
    fn from(identity: &Identity) -> Self {
        Self { user_id: Some(identity.user_id), origin: Origin::Request(identity.address) }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(Some(address)) => write!(f, "{address}"),
            Self::Request(None) => f.write_str("unknown"),
            Self::CommandLine => f.write_str("command line"),
            Self::Settings => f.write_str("settings"),
            Self::Schedule => f.write_str("schedule"),
        }
    }
}
