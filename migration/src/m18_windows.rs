//! Windows: a reservation with an end holds its spot for that time only, and a walk-in takes no part in the constraint.

use crate::migration::{
    Migration,
    Statement::{Both, Postgres, Sqlite},
};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m18_windows",
    up: &[
        // A driver who came in time and found every spot occupied has not failed to show up.
        Both("ALTER TABLE reservations ADD COLUMN turned_away_at {time}"),
        Postgres("ALTER TABLE reservations DROP CONSTRAINT reservations_no_overlap"),
        Postgres(
            "ALTER TABLE reservations ADD CONSTRAINT reservations_no_overlap
        EXCLUDE USING gist (spot_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('reserved', 'active') AND ends_at IS NOT NULL)",
        ),
        Sqlite("DROP TRIGGER reservations_no_overlap_on_insert"),
        Sqlite("DROP TRIGGER reservations_no_overlap_on_update"),
        Sqlite(
            "CREATE TRIGGER reservations_no_overlap_on_insert BEFORE INSERT ON reservations
        WHEN NEW.state IN ('reserved', 'active') AND NEW.ends_at IS NOT NULL AND EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.spot_id = NEW.spot_id AND r.state IN ('reserved', 'active')
              AND r.ends_at > NEW.starts_at AND NEW.ends_at > r.starts_at)
        BEGIN SELECT RAISE(ABORT, 'reservations_no_overlap'); END",
        ),
        Sqlite(
            "CREATE TRIGGER reservations_no_overlap_on_update BEFORE UPDATE OF state, spot_id, starts_at, ends_at ON reservations
        WHEN NEW.state IN ('reserved', 'active') AND NEW.ends_at IS NOT NULL AND EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.id <> NEW.id AND r.spot_id = NEW.spot_id AND r.state IN ('reserved', 'active')
              AND r.ends_at > NEW.starts_at AND NEW.ends_at > r.starts_at)
        BEGIN SELECT RAISE(ABORT, 'reservations_no_overlap'); END",
        ),
        Both(
            "CREATE INDEX reservations_waiting_by_lot ON reservations (lot_id, starts_at) WHERE state = 'reserved'",
        ),
        Both(
            "CREATE INDEX reservations_windows_by_spot ON reservations (spot_id, starts_at) WHERE state = 'reserved'",
        ),
        // For the limits on messages to a driver.
        Both("CREATE INDEX email_deliveries_by_user ON email_deliveries (user_id, kind, created_at)"),
    ],
    down: &[
        "DROP INDEX email_deliveries_by_user",
        "DROP INDEX reservations_windows_by_spot",
        "DROP INDEX reservations_waiting_by_lot",
        "ALTER TABLE reservations DROP COLUMN turned_away_at",
        "--postgres
        ALTER TABLE reservations DROP CONSTRAINT reservations_no_overlap",
        "--postgres
        ALTER TABLE reservations ADD CONSTRAINT reservations_no_overlap
        EXCLUDE USING gist (spot_id WITH =, tstzrange(starts_at, ends_at) WITH &&)
        WHERE (state IN ('reserved', 'active'))",
        "--sqlite
        DROP TRIGGER reservations_no_overlap_on_insert",
        "--sqlite
        DROP TRIGGER reservations_no_overlap_on_update",
        OLD_TRIGGER_ON_INSERT,
        OLD_TRIGGER_ON_UPDATE,
    ],
};

/// As in the fifth migration.
const OLD_TRIGGER_ON_INSERT: &str = "--sqlite
CREATE TRIGGER reservations_no_overlap_on_insert BEFORE INSERT ON reservations
        WHEN NEW.state IN ('reserved', 'active') AND EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.spot_id = NEW.spot_id AND r.state IN ('reserved', 'active')
              AND (r.ends_at IS NULL OR r.ends_at > NEW.starts_at)
              AND (NEW.ends_at IS NULL OR NEW.ends_at > r.starts_at))
        BEGIN SELECT RAISE(ABORT, 'reservations_no_overlap'); END";
const OLD_TRIGGER_ON_UPDATE: &str = "--sqlite
CREATE TRIGGER reservations_no_overlap_on_update BEFORE UPDATE OF state, spot_id, starts_at, ends_at ON reservations
        WHEN NEW.state IN ('reserved', 'active') AND EXISTS (
            SELECT 1 FROM reservations r
            WHERE r.id <> NEW.id AND r.spot_id = NEW.spot_id AND r.state IN ('reserved', 'active')
              AND (r.ends_at IS NULL OR r.ends_at > NEW.starts_at)
              AND (NEW.ends_at IS NULL OR NEW.ends_at > r.starts_at))
        BEGIN SELECT RAISE(ABORT, 'reservations_no_overlap'); END";
