//! When a session could begin on a spot that is locked, for bookings in one statement.

use crate::migration::{Migration, Statement::Postgres};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m24_walk_in_start",
    up: &[
        // A statement sees the rows as they were when it began. A function that is volatile sees them as they are when it is
        // called, here after the statement has locked the spot: meanwhile, its session may have ended or a window begun.
        // Null if a session or a window that is due holds the spot, or a window of the lot is displaced.
        Postgres(
            "CREATE FUNCTION walk_in_start(spot BIGINT, lot BIGINT, now_at TIMESTAMPTZ, due_until TIMESTAMPTZ)
        RETURNS TIMESTAMPTZ LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
            RETURN (SELECT COALESCE((SELECT MAX(left_at) FROM reservations
                    WHERE spot_id = spot AND state = 'completed' AND left_at > now_at), now_at)
                WHERE NOT EXISTS (SELECT 1 FROM reservations r
                    WHERE r.spot_id = spot AND r.state IN ('reserved', 'active')
                      AND (r.state = 'active' OR (r.starts_at < due_until AND r.ends_at > now_at)))
                  AND NOT EXISTS (SELECT 1 FROM reservations w
                    JOIN reservations a ON a.spot_id = w.spot_id AND a.state = 'active'
                    WHERE w.lot_id = lot AND w.state = 'reserved' AND w.starts_at < due_until AND w.ends_at > now_at));
        END $$",
        ),
    ],
    down: &["--postgres\nDROP FUNCTION walk_in_start"],
};
