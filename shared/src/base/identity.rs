//! Who makes a request.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An authenticated user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub user_id: i64,
    /// Whether the user is an administrator.
    pub is_admin: bool,
    /// Whether the user is an administrator who has to turn on a second factor first.
    #[serde(default)]
    pub must_enrol: bool,
    /// Whether the user is an attendant. Their lots are read with every request.
    pub is_attendant: bool,
    /// The session of the token that came with the request.
    pub session_id: Uuid,
    /// Where the request comes from, if it is known.
    #[serde(skip)]
    pub address: Option<IpAddr>,
}
