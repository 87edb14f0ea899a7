//! The settings: listed once, read once, with all problems reported together.

mod cache;
mod env_file;
mod load;
mod mail;
mod notifications;
mod operations;
mod parking;
mod parse;
mod rate_limits;
mod redis;
mod schedules;
mod sources;
#[cfg(test)]
mod tests;

pub use self::{
    cache::Cache,
    load::{Admin, Config, Environment, Log, Workers},
    mail::{Encryption, Mail},
    notifications::{GOOGLE_CHAT_HOST, Notifications, Twilio},
    operations::Operations,
    parking::{FairUse, NO_SHOW_MEMORY, Parking},
    rate_limits::{Action, Budget},
    redis::RedisServers,
    schedules::Schedules,
    sources::{Problems, Sources},
};
pub use crate::platform::settings::{SETTINGS, Setting};
pub use ipnet::IpNet;
