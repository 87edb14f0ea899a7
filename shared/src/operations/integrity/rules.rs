//! The rules as queries, each of which lists the rows that violate it.

/// What must hold, and the query for offenders. `{AVAILABILITY}` stands for the query of the public lot list; `$1` is now,
/// and `$2` the end of the protected time.
pub(super) const RULES: [(&str, &str); 17] = [
    (
        "no two windows on a spot overlap",
        "SELECT 'reservation ' || id AS offender FROM (
            SELECT id, starts_at, LAG(ends_at) OVER spot AS ended, LAG(id) OVER spot AS before
            FROM reservations WHERE state IN ('reserved', 'active') AND ends_at IS NOT NULL
            WINDOW spot AS (PARTITION BY spot_id ORDER BY starts_at, id)
         ) live WHERE before IS NOT NULL AND ended > starts_at",
    ),
    (
        "no two sessions, past or running, overlap on a spot",
        "SELECT 'reservation ' || id AS offender FROM (
            SELECT id, arrived_at, LAG(left_at) OVER spot AS gone, LAG(id) OVER spot AS before
            FROM reservations WHERE arrived_at IS NOT NULL
            WINDOW spot AS (PARTITION BY spot_id ORDER BY arrived_at, id)
         ) sessions WHERE before IS NOT NULL AND (gone IS NULL OR gone > arrived_at)",
    ),
    (
        "no user and no spot has two active sessions",
        "SELECT 'user ' || user_id AS offender FROM reservations WHERE state = 'active' AND NOT house
         GROUP BY user_id HAVING COUNT(*) > 1
         UNION ALL
         SELECT 'spot ' || spot_id FROM reservations WHERE state = 'active' GROUP BY spot_id HAVING COUNT(*) > 1",
    ),
    (
        "no plate is in two places at the same time",
        "SELECT 'reservation ' || MAX(id) AS offender FROM reservations
         WHERE state = 'active' AND plate_key IS NOT NULL GROUP BY plate_key HAVING COUNT(*) > 1",
    ),
    (
        "a stay belongs to the house account of its lot exactly if its car has no account",
        "SELECT 'reservation ' || r.id AS offender FROM reservations r JOIN users u ON u.id = r.user_id
         WHERE r.house <> (u.house_lot_id IS NOT NULL) OR u.house_lot_id <> r.lot_id",
    ),
    (
        "only attendants have lots",
        "SELECT 'user ' || a.user_id AS offender FROM attendant_lots a JOIN users u ON u.id = a.user_id
         WHERE NOT u.is_attendant OR u.deleted_at IS NOT NULL",
    ),
    (
        "every lot shows as many available spots as its reservations leave free",
        "SELECT 'lot ' || l.id AS offender FROM lots l
         LEFT JOIN (
            SELECT s.lot_id, COUNT(*) AS free FROM spots s
            LEFT JOIN (SELECT DISTINCT spot_id FROM reservations WHERE state = 'active'
                OR (state = 'reserved' AND starts_at < $2 AND ends_at > $1)) held ON held.spot_id = s.id
            WHERE s.retired_at IS NULL AND NOT s.retiring AND held.spot_id IS NULL GROUP BY s.lot_id
         ) counted ON counted.lot_id = l.id
         LEFT JOIN (
            SELECT lot_id, COUNT(*) AS n FROM reservations
            WHERE state = 'reserved' AND starts_at < $2 AND ends_at > $1
              AND spot_id IN (SELECT spot_id FROM reservations WHERE state = 'active') GROUP BY lot_id
         ) displaced ON displaced.lot_id = l.id
         JOIN ({AVAILABILITY}) shown ON shown.id = l.id
         WHERE shown.available_slots <> COALESCE(counted.free, 0) - COALESCE(displaced.n, 0)",
    ),
    (
        "every lot has as many spots in service as number_of_slots says",
        "SELECT 'lot ' || l.id AS offender FROM lots l LEFT JOIN spots s ON s.lot_id = l.id AND s.retired_at IS NULL AND NOT s.retiring
         WHERE l.archived_at IS NULL GROUP BY l.id, l.number_of_slots HAVING COUNT(s.id) <> l.number_of_slots",
    ),
    (
        "every spot belongs to a lot",
        "SELECT 'spot ' || s.id AS offender FROM spots s LEFT JOIN lots l ON l.id = s.lot_id WHERE l.id IS NULL",
    ),
    (
        "every reservation belongs to a user and to a spot of its lot",
        "SELECT 'reservation ' || r.id AS offender FROM reservations r
         LEFT JOIN spots s ON s.id = r.spot_id LEFT JOIN users u ON u.id = r.user_id
         WHERE s.id IS NULL OR s.lot_id <> r.lot_id OR u.id IS NULL",
    ),
    (
        "no reservation holds a spot that is out of service",
        "SELECT 'reservation ' || r.id AS offender FROM reservations r
         JOIN spots s ON s.id = r.spot_id JOIN lots l ON l.id = r.lot_id
         WHERE r.state IN ('reserved', 'active') AND (s.retired_at IS NOT NULL OR l.archived_at IS NOT NULL)",
    ),
    (
        "a deleted user holds no spot and has no open session",
        "SELECT 'user ' || u.id AS offender FROM users u WHERE u.deleted_at IS NOT NULL AND (
            EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = u.id AND NOT r.house AND r.state IN ('reserved', 'active'))
            OR EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.ended_at IS NULL))",
    ),
    (
        "a stay has a bill that is unpaid, paid, waived or refunded exactly when it has ended",
        "SELECT 'reservation ' || id AS offender FROM reservations
         WHERE (state = 'completed') <> (payment_state IS NOT NULL)",
    ),
    (
        "a bill has a time of payment exactly if it was paid, a reason if it was waived or refunded, and nothing is due for nothing",
        "SELECT 'reservation ' || id AS offender FROM reservations
         WHERE payment_state IS NOT NULL AND (payment_state NOT IN ('unpaid', 'paid', 'waived', 'refunded')
            OR (payment_state IN ('paid', 'refunded')) <> (paid_at IS NOT NULL)
            OR (payment_state = 'waived') <> (waive_reason IS NOT NULL)
            OR (payment_state = 'refunded') <> (refunded_at IS NOT NULL AND refund_reason IS NOT NULL AND cost_minor > 0)
            OR (payment_verified_at IS NOT NULL AND paid_at IS NULL)
            OR (cost_minor = 0 AND payment_state = 'unpaid'))",
    ),
    (
        "every export job has an export",
        "SELECT 'job ' || j.payload AS offender FROM jobs j LEFT JOIN exports e ON e.id = j.id
         WHERE j.kind = 'export-csv' AND e.id IS NULL",
    ),
    (
        "every mail about a reservation refers to one that exists",
        // The key becomes a number, not the id a text, which no index has.
        "SELECT m.kind || ' ' || m.unique_key AS offender FROM (
            SELECT kind, unique_key, REPLACE(REPLACE(unique_key, ':paid', ''), ':refunded', '') AS id FROM jobs
         ) m LEFT JOIN reservations r ON r.id = CASE
            WHEN m.id <> '' AND TRIM(m.id, '0123456789') = '' AND LENGTH(m.id) < 19 THEN CAST(m.id AS BIGINT) END
         WHERE m.kind IN ('send-confirmation', 'send-receipt') AND r.id IS NULL",
    ),
    (
        // But whoever asks for a new password with an unknown address gets the same job as others, for nobody.
        "every mail to a user refers to one that exists",
        "SELECT j.kind || ' ' || COALESCE(j.unique_key, '') AS offender FROM jobs j LEFT JOIN users u ON u.id = j.owner_id
         WHERE j.queue = 'mail' AND j.kind LIKE 'send-%' AND u.id IS NULL
            AND NOT (j.kind = 'send-password-reset' AND j.owner_id IS NULL)",
    ),
];
