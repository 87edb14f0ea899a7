//! What migrations leave for operators to look at.

/// A query for rows that a migration could not carry over as they were.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// The migration.
    pub migration: &'static str,
    /// What the rows are, after their number.
    pub what: &'static str,
    /// What to do about them.
    pub advice: &'static str,
    /// Selects the first of them as `line`, and the number of all as `total`.
    pub query: &'static str,
}

/// Printed after the migration, and by the doctor as long as there are such rows.
pub const REPORTS: [Report; 1] = [Report {
    migration: "m19_payments_and_audit",
    what: "stays name a transaction that settles an older stay",
    advice: "ask their drivers for the right transaction; it can be told from transaction_id in GET /reservations",
    query: "SELECT 'reservation ' || later.id || ' names the transaction of reservation ' || first.id AS line,
            COUNT(*) OVER () AS total
        FROM reservations later JOIN reservations first
            ON LOWER(TRIM(COALESCE(first.payment_method, ''))) = LOWER(TRIM(COALESCE(later.payment_method, '')))
            AND first.transaction_key = TRIM(later.transaction_id)
        WHERE later.payment_state = 'paid' AND later.transaction_id IS NOT NULL AND later.transaction_key IS NULL
        ORDER BY later.id LIMIT 20",
}];
