//! The spots of a lot, numbered from 1. A retiring spot takes no new bookings.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m04_spots",
    up: &[Both(
        "CREATE TABLE spots (
        id {id},
        lot_id BIGINT NOT NULL REFERENCES lots (id),
        number BIGINT NOT NULL,
        retiring BOOLEAN NOT NULL DEFAULT FALSE,
        retired_at {time},
        UNIQUE (lot_id, number)
    )",
    )],
    down: &["DROP TABLE spots"],
};
