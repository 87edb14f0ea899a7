//! The chain of the audit table: the place of each row, and an HMAC over the row and the one before it.

use crate::migration::{
    Migration,
    Statement::{Both, Postgres, Sqlite},
};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m29_audit_chain",
    up: &[
        // Null until the row is linked, which a worker does within seconds, also for rows from before.
        Both("ALTER TABLE audit ADD COLUMN seq BIGINT"),
        Both("ALTER TABLE audit ADD COLUMN link TEXT"),
        Both("CREATE UNIQUE INDEX audit_seq ON audit (seq)"),
        Both("CREATE INDEX audit_unlinked ON audit (id) WHERE seq IS NULL"),
        Both("CREATE INDEX audit_by_actor ON audit (actor_id, id)"),
        Both("CREATE INDEX audit_by_object ON audit (object_kind, object_id, id)"),
        // One row, once something is linked. Rows up to `start_seq` may be pruned.
        Both("CREATE TABLE audit_chain (
        id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
        start_seq BIGINT NOT NULL,
        state TEXT NOT NULL,
        signature TEXT NOT NULL
    )"),
        Sqlite("DROP TRIGGER audit_no_update"),
        Sqlite("DROP TRIGGER audit_no_delete"),
        Sqlite("CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
        WHEN OLD.seq IS NOT NULL OR NEW.seq IS NULL
            OR (NEW.id, NEW.at, NEW.actor_id, NEW.origin, NEW.action, NEW.object_kind, NEW.object_id, NEW.details)
            IS NOT (OLD.id, OLD.at, OLD.actor_id, OLD.origin, OLD.action, OLD.object_kind, OLD.object_id, OLD.details)
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"),
        Sqlite("CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
        WHEN OLD.seq IS NULL OR OLD.seq > COALESCE((SELECT start_seq FROM audit_chain), 0)
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END"),
        Postgres("DROP TRIGGER audit_no_change ON audit"),
        Postgres("CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH ROW
        WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL
            OR (NEW.id, NEW.at, NEW.actor_id, NEW.origin, NEW.action, NEW.object_kind, NEW.object_id, NEW.details)
            IS DISTINCT FROM (OLD.id, OLD.at, OLD.actor_id, OLD.origin, OLD.action, OLD.object_kind, OLD.object_id, OLD.details))
        EXECUTE FUNCTION audit_is_append_only()"),
        Postgres("CREATE FUNCTION audit_keeps_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF OLD.seq IS NULL OR OLD.seq > COALESCE((SELECT start_seq FROM audit_chain), 0) THEN
                RAISE EXCEPTION 'the audit table is append-only';
            END IF;
            RETURN OLD; END $$"),
        Postgres("CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_keeps_rows()"),
    ],
    down: &[
        "--sqlite\nDROP TRIGGER audit_no_update",
        "--sqlite\nDROP TRIGGER audit_no_delete",
        "--postgres\nDROP TRIGGER audit_no_update ON audit",
        "--postgres\nDROP TRIGGER audit_no_delete ON audit",
        "--postgres\nDROP FUNCTION audit_keeps_rows",
        "DROP TABLE audit_chain",
        "DROP INDEX audit_by_object",
        "DROP INDEX audit_by_actor",
        "DROP INDEX audit_unlinked",
        "DROP INDEX audit_seq",
        "ALTER TABLE audit DROP COLUMN link",
        "ALTER TABLE audit DROP COLUMN seq",
        "--sqlite\nCREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END",
        "--sqlite\nCREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END",
        "--postgres\nCREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    ],
};
