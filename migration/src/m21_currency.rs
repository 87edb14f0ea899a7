//! The currency of the installation, and the amounts that did not fit into it.
//!
//! Earlier releases stored every amount in hundredths. `shared::platform::installation` converts them, because only the
//! application knows the currency.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m21_currency",
    up: &[
        Both(
            "CREATE TABLE installation (
        id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
        currency TEXT NOT NULL
    )",
        ),
        Both(
            "CREATE TABLE rounded_amounts (
        table_name TEXT NOT NULL,
        column_name TEXT NOT NULL,
        row_id BIGINT NOT NULL,
        hundredths BIGINT NOT NULL,
        PRIMARY KEY (table_name, row_id, column_name)
    )",
        ),
    ],
    down: &["DROP TABLE rounded_amounts", "DROP TABLE installation"],
};
