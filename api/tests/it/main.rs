//! The API from outside: real servers, real databases, a file a slice.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "this is test code")]

mod accounts;
mod activity;
mod admin;
mod authorisation;
mod bookings;
mod cached;
mod counters;
mod defects;
mod deliveries;
mod draining;
mod events;
mod export_admin;
mod exports;
mod forged;
mod freshness;
mod hostile;
mod jobs;
mod limits;
mod lots;
mod mass_assignment;
mod model;
mod old_client;
mod once;
mod openapi;
mod overload;
mod race;
mod redis_away;
mod redis_pipes;
mod reports;
mod reservation_races;
mod reservations;
mod spots;
mod starting;
mod support;
mod unsubscribe;
mod upkeep;
mod user_deletion;
mod users;
mod wrap;
mod wrong_input;
