//! What became of each bill, and the audit table.

use crate::migration::{
    Migration,
    Statement::{Both, Postgres, Sqlite},
};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m19_payments_and_audit",
    up: &[
        // Null unless the stay is completed. SQLite would check every row of the table for minutes; the integrity check knows
        // the states.
        Sqlite("ALTER TABLE reservations ADD COLUMN payment_state TEXT"),
        Postgres("ALTER TABLE reservations ADD COLUMN payment_state TEXT
        CHECK (payment_state IN ('unpaid', 'paid', 'waived', 'refunded'))"),
        Both("ALTER TABLE reservations ADD COLUMN paid_at {time}"),
        Both("ALTER TABLE reservations ADD COLUMN payment_verified_at {time}"),
        Both("ALTER TABLE reservations ADD COLUMN payment_verified_by BIGINT"),
        Both("ALTER TABLE reservations ADD COLUMN waive_reason TEXT"),
        // The transaction, on the one stay that it settles. `transaction_id` stays what was entered.
        Both("ALTER TABLE reservations ADD COLUMN transaction_key TEXT"),
        // Blanks name nothing.
        // One pass over the table on SQLite. PostgreSQL would look each row up in an unsorted list of the first ones.
        Sqlite("UPDATE reservations SET
            payment_state = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN 'paid' ELSE 'unpaid' END,
            paid_at = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN left_at END,
            transaction_key = CASE WHEN id IN (
                SELECT MIN(id) FROM reservations WHERE state = 'completed' AND TRIM(transaction_id) <> ''
                GROUP BY LOWER(TRIM(COALESCE(payment_method, ''))), TRIM(transaction_id)) THEN TRIM(transaction_id) END
        WHERE state = 'completed'"),
        Postgres("UPDATE reservations SET
            payment_state = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN 'paid' ELSE 'unpaid' END,
            paid_at = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN left_at END
        WHERE state = 'completed'"),
        Postgres("UPDATE reservations SET transaction_key = TRIM(transaction_id) WHERE id IN (
            SELECT MIN(id) FROM reservations WHERE payment_state = 'paid' AND TRIM(transaction_id) <> ''
            GROUP BY LOWER(TRIM(COALESCE(payment_method, ''))), TRIM(transaction_id))"),
        Both("CREATE UNIQUE INDEX reservations_one_stay_a_transaction
        ON reservations (LOWER(TRIM(COALESCE(payment_method, ''))), transaction_key) WHERE transaction_key IS NOT NULL"),
        Both("CREATE INDEX reservations_revenue
        ON reservations (paid_at, lot_id, cost_minor, payment_method, payment_verified_at) WHERE payment_state = 'paid'"),
        Both("CREATE INDEX reservations_unpaid ON reservations (id, lot_id, cost_minor) WHERE payment_state = 'unpaid'"),
        Both("CREATE INDEX reservations_unpaid_by_user ON reservations (user_id) WHERE payment_state = 'unpaid'"),
        // During an upgrade, processes of the release before end stays without saying whether they are paid.
        Sqlite("CREATE TRIGGER reservations_payment_on_insert AFTER INSERT ON reservations
        WHEN NEW.state = 'completed' AND NEW.payment_state IS NULL
        BEGIN UPDATE reservations SET
            payment_state = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN 'paid' ELSE 'unpaid' END,
            paid_at = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN left_at END
        WHERE id = NEW.id; END"),
        Sqlite("CREATE TRIGGER reservations_payment_on_update AFTER UPDATE OF state ON reservations
        WHEN NEW.state = 'completed' AND NEW.payment_state IS NULL
        BEGIN UPDATE reservations SET
            payment_state = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN 'paid' ELSE 'unpaid' END,
            paid_at = CASE WHEN cost_minor = 0 OR TRIM(COALESCE(payment_method, '') || COALESCE(transaction_id, '')) <> ''
                THEN left_at END
        WHERE id = NEW.id; END"),
        Postgres("CREATE FUNCTION reservations_payment() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.cost_minor = 0 OR TRIM(COALESCE(NEW.payment_method, '') || COALESCE(NEW.transaction_id, '')) <> '' THEN
                NEW.payment_state := 'paid'; NEW.paid_at := NEW.left_at;
            ELSE
                NEW.payment_state := 'unpaid';
            END IF;
            RETURN NEW; END $$"),
        Postgres("CREATE TRIGGER reservations_payment BEFORE INSERT OR UPDATE OF state ON reservations FOR EACH ROW
        WHEN (NEW.state = 'completed' AND NEW.payment_state IS NULL) EXECUTE FUNCTION reservations_payment()"),
        // People by id only: their names can be erased, this table cannot.
        Both("CREATE TABLE audit (
        id {id},
        at {time} NOT NULL,
        actor_id BIGINT,
        origin TEXT NOT NULL,
        action TEXT NOT NULL,
        object_kind TEXT NOT NULL,
        object_id BIGINT,
        details TEXT NOT NULL
    )"),
        Sqlite("CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"),
        Sqlite("CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"),
        Postgres("CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'the audit table is append-only'; END $$"),
        Postgres("CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"),
        Postgres("CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"),
    ],
    down: &[
        "DROP TABLE audit",
        "--postgres\nDROP FUNCTION audit_is_append_only",
        "--postgres\nDROP TRIGGER reservations_payment ON reservations",
        "--postgres\nDROP FUNCTION reservations_payment",
        "--sqlite\nDROP TRIGGER reservations_payment_on_update",
        "--sqlite\nDROP TRIGGER reservations_payment_on_insert",
        "DROP INDEX reservations_unpaid_by_user",
        "DROP INDEX reservations_unpaid",
        "DROP INDEX reservations_revenue",
        "DROP INDEX reservations_one_stay_a_transaction",
        "ALTER TABLE reservations DROP COLUMN transaction_key",
        "ALTER TABLE reservations DROP COLUMN waive_reason",
        "ALTER TABLE reservations DROP COLUMN payment_verified_by",
        "ALTER TABLE reservations DROP COLUMN payment_verified_at",
        "ALTER TABLE reservations DROP COLUMN paid_at",
        "ALTER TABLE reservations DROP COLUMN payment_state",
    ],
};
