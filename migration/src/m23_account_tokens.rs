//! Tokens that are mailed to users, and whether a mail address is verified. Existing accounts count as verified.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m23_account_tokens",
    up: &[
        Both(
            // The id is that of the job that mails the token.
            "CREATE TABLE account_tokens (
        id {uuid} NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        user_id BIGINT NOT NULL REFERENCES users (id),
        hash TEXT NOT NULL UNIQUE,
        created_at {time} NOT NULL,
        expires_at {time} NOT NULL,
        used_at {time}
    )",
        ),
        Both("ALTER TABLE users ADD COLUMN email_verified BOOLEAN NOT NULL DEFAULT TRUE"),
        Both("CREATE INDEX account_tokens_by_user ON account_tokens (user_id)"),
    ],
    down: &["ALTER TABLE users DROP COLUMN email_verified", "DROP TABLE account_tokens"],
};
