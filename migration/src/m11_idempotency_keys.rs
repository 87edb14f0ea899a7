//! Responses kept for repeated requests, written in the same transaction as the effect.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m11_idempotency_keys",
    up: &[Both(
        "CREATE TABLE idempotency_keys (
        user_id BIGINT NOT NULL,
        key TEXT NOT NULL,
        request_hash TEXT NOT NULL,
        status BIGINT,
        headers TEXT,
        body TEXT,
        created_at {time} NOT NULL,
        PRIMARY KEY (user_id, key)
    )",
    )],
    down: &["DROP TABLE idempotency_keys"],
};
