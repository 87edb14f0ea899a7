//! CSV exports: the request and the resulting file. The id is that of the job.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m08_exports",
    up: &[
        Both(
            "CREATE TABLE exports (
        id {uuid} NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        user_id BIGINT NOT NULL REFERENCES users (id),
        everyone BOOLEAN NOT NULL DEFAULT FALSE,
        from_at {time},
        until_at {time},
        lot_id BIGINT,
        anonymise BOOLEAN NOT NULL DEFAULT FALSE,
        file_name TEXT,
        row_count BIGINT,
        byte_count BIGINT,
        sha256 TEXT,
        created_at {time} NOT NULL,
        ready_at {time},
        expires_at {time},
        removed_at {time}
    )",
        ),
        Both("CREATE INDEX exports_by_user ON exports (user_id, created_at)"),
    ],
    down: &["DROP TABLE exports"],
};
