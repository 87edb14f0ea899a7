//! Exports in several formats: which one, and whether a CSV file starts with a byte order mark.

use crate::migration::{Migration, Statement::Both};

pub(crate) const MIGRATION: Migration = Migration {
    name: "m22_export_formats",
    up: &[
        Both("ALTER TABLE exports ADD COLUMN format TEXT NOT NULL DEFAULT 'csv'"),
        Both("ALTER TABLE exports ADD COLUMN bom BOOLEAN NOT NULL DEFAULT FALSE"),
    ],
    down: &["ALTER TABLE exports DROP COLUMN bom", "ALTER TABLE exports DROP COLUMN format"],
};
