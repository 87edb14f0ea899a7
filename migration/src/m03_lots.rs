//! Lots with their price. An archived lot keeps its history.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m03_lots",
    up: &[Both(
        "CREATE TABLE lots (
        id {id},
        location_name TEXT NOT NULL,
        address TEXT NOT NULL,
        pincode TEXT NOT NULL,
        price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
        number_of_slots BIGINT NOT NULL CHECK (number_of_slots BETWEEN 1 AND 10000),
        version BIGINT NOT NULL DEFAULT 1,
        created_at {time} NOT NULL,
        updated_at {time} NOT NULL,
        archived_at {time}
    )",
    )],
    down: &["DROP TABLE lots"],
};
