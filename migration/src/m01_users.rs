//! Users: drivers and administrators.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m01_users",
    up: &[Both(
        "CREATE TABLE users (
        id {id},
        username TEXT NOT NULL,
        username_key TEXT NOT NULL UNIQUE,
        email TEXT NOT NULL,
        email_key TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'admin')),
        vehicle_number TEXT UNIQUE,
        phone_number TEXT UNIQUE,
        reminders_off BOOLEAN NOT NULL DEFAULT FALSE,
        last_login_at {time},
        created_at {time} NOT NULL,
        deleted_at {time}
    )",
    )],
    down: &["DROP TABLE users"],
};
