//! Mails: a row is inserted before SMTP and completed after the server accepts, so that no mail is sent twice.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m10_email_deliveries",
    up: &[Both(
        "CREATE TABLE email_deliveries (
        key TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        user_id BIGINT REFERENCES users (id),
        job_id {uuid},
        message_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'refused', 'ambiguous')),
        attempts BIGINT NOT NULL DEFAULT 1,
        resent BOOLEAN NOT NULL DEFAULT FALSE,
        error TEXT,
        created_at {time} NOT NULL,
        updated_at {time} NOT NULL
    )",
    )],
    down: &["DROP TABLE email_deliveries"],
};
