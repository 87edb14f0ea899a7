//! Activity of users: logins, bookings, releases, exports, notifications.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m09_user_activity",
    up: &[
        Both(
            "CREATE TABLE user_activity (
        id {id},
        user_id BIGINT NOT NULL REFERENCES users (id),
        kind TEXT NOT NULL,
        subject TEXT,
        created_at {time} NOT NULL
    )",
        ),
        Both("CREATE INDEX user_activity_by_user ON user_activity (user_id, id)"),
    ],
    down: &["DROP TABLE user_activity"],
};
