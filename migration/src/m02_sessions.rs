//! Login sessions: a token is valid only while its session is open.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m02_sessions",
    up: &[
        Both(
            "CREATE TABLE sessions (
        id {uuid} NOT NULL PRIMARY KEY,
        user_id BIGINT NOT NULL REFERENCES users (id),
        user_agent TEXT,
        created_at {time} NOT NULL,
        expires_at {time} NOT NULL,
        ended_at {time}
    )",
        ),
        Both("CREATE INDEX sessions_by_user ON sessions (user_id, created_at)"),
    ],
    down: &["DROP TABLE sessions"],
};
