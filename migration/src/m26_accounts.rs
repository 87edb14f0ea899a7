//! Where users have logged in, addresses that wait for verification, and secrets that are not in the settings.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m26_accounts",
    up: &[
        Both(
            // A keyed hash, so that the table does not say where anybody was.
            "CREATE TABLE known_addresses (
        user_id BIGINT NOT NULL REFERENCES users (id),
        hash TEXT NOT NULL,
        last_seen_at {time} NOT NULL,
        PRIMARY KEY (user_id, hash)
    )",
        ),
        Both("CREATE INDEX known_addresses_by_time ON known_addresses (last_seen_at)"),
        // Null for accounts from before this release, and for those that an administrator made.
        Both("ALTER TABLE users ADD COLUMN unverified_since {time}"),
        Both("CREATE INDEX users_unverified ON users (unverified_since) WHERE unverified_since IS NOT NULL"),
        Both("ALTER TABLE users ADD COLUMN pending_email TEXT"),
        // The address that a token is about: the new one of a change, or the old one that can be restored.
        Both("ALTER TABLE account_tokens ADD COLUMN address TEXT"),
        Both("CREATE INDEX account_tokens_by_address ON account_tokens (address) WHERE address IS NOT NULL"),
        Both(
            "CREATE TABLE secrets (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    )",
        ),
    ],
    down: &[
        "DROP TABLE secrets",
        "DROP INDEX account_tokens_by_address",
        "ALTER TABLE account_tokens DROP COLUMN address",
        "ALTER TABLE users DROP COLUMN pending_email",
        "DROP INDEX users_unverified",
        "ALTER TABLE users DROP COLUMN unverified_since",
        "DROP TABLE known_addresses",
    ],
};
