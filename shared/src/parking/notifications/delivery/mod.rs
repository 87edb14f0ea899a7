//! Sending a message once. Its row is claimed before it is sent and the answer recorded after; if a run dies in between,
//! delivery is uncertain.

mod claim;
mod letter;
mod message;
mod once;
mod state;

pub(super) use letter::{Letter, Recipient, compose, deliver, dropped};
pub(super) use message::{Channel, Delivery, IfUnknown};
pub(super) use once::send_once;
