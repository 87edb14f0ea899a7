//! Reservations, with constraints that no spot and no user has two at the same time.

use crate::migration::{
    Migration,
    Statement::{Both, Postgres, Sqlite},
};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m05_reservations",
    up: &[
        Both("CREATE TABLE reservations (
        id {id},
        user_id BIGINT NOT NULL REFERENCES users (id),
        lot_id BIGINT NOT NULL REFERENCES lots (id),
        spot_id BIGINT NOT NULL REFERENCES spots (id),
        state TEXT NOT NULL CHECK (state IN ('reserved', 'active', 'completed', 'cancelled', 'expired')),
        starts_at {time} NOT NULL,
        ends_at {time},
        arrived_at {time},
        left_at {time},
        hourly_rate_minor BIGINT NOT NULL CHECK (hourly_rate_minor >= 0),
        cost_minor BIGINT NOT NULL DEFAULT 0 CHECK (cost_minor >= 0),
        transaction_id TEXT,
        payment_method TEXT,
        created_at {time} NOT NULL,
        CHECK (ends_at > starts_at),
        CHECK (state <> 'active' OR arrived_at IS NOT NULL),
        CHECK ((state = 'completed') = (left_at IS NOT NULL))
    )"),
        Both("CREATE UNIQUE INDEX reservations_one_active_a_spot ON reservations (spot_id) WHERE state = 'active'"),
        Both("CREATE UNIQUE INDEX reservations_one_active_a_user ON reservations (user_id) WHERE state = 'active'"),
        Both("CREATE INDEX reservations_live_by_spot ON reservations (spot_id) WHERE state IN ('reserved', 'active')"),
        Both("CREATE INDEX reservations_live_by_lot ON reservations (lot_id) WHERE state IN ('reserved', 'active')"),
        Both("CREATE INDEX reservations_by_user ON reservations (user_id, id)"),
        // SQLite has no exclusion constraints.
        Sqlite("CREATE TRIGGER reservations_no_overlap_on_insert BEFORE INSERT ON reservations
        WHEN NEW.state IN ('reserved', 'active') AND EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.spot_id = NEW.spot_id AND r.state IN ('reserved', 'active')
              AND (r.ends_at IS NULL OR r.ends_at > NEW.starts_at)
              AND (NEW.ends_at IS NULL OR NEW.ends_at > r.starts_at))
        BEGIN SELECT RAISE(ABORT, 'reservations_no_overlap'); END"),
        Sqlite("CREATE TRIGGER reservations_no_overlap_on_update BEFORE UPDATE OF state, spot_id, starts_at, ends_at ON reservations
        WHEN NEW.state IN ('reserved', 'active') AND EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.id <> NEW.id AND r.spot_id = NEW.spot_id AND r.state IN ('reserved', 'active')
              AND (r.ends_at IS NULL OR r.ends_at > NEW.starts_at)
              AND (NEW.ends_at IS NULL OR NEW.ends_at > r.starts_at))
        BEGIN SELECT RAISE(ABORT, 'reservations_no_overlap'); END"),
        // A reservation occupies its spot from `starts_at` to `ends_at`, a walk-in without end.
        Postgres("CREATE EXTENSION IF NOT EXISTS btree_gist"),
        Postgres("ALTER TABLE reservations ADD CONSTRAINT reservations_no_overlap
        EXCLUDE USING gist (spot_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('reserved', 'active'))"),
    ],
    down: &["DROP TABLE reservations"],
};
