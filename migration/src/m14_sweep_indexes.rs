//! Indexes for the workers' periodic sweep.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m14_sweep_indexes",
    up: &[
        Both("CREATE INDEX reservations_coming ON reservations (starts_at) WHERE state = 'reserved'"),
        Both("CREATE INDEX spots_retiring ON spots (id) WHERE retiring"),
        Both("CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)"),
    ],
    down: &[
        "DROP INDEX idempotency_keys_by_age",
        "DROP INDEX spots_retiring",
        "DROP INDEX reservations_coming",
    ],
};
