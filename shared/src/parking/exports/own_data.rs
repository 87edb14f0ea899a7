//! What is stored about one user, as a ZIP archive: everything as JSON, and each table as CSV.

use std::io::{self, Cursor, Write};

use anyhow::Context as _;
use sea_orm::{FromQueryResult, JsonValue};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    file::{PartFile, write_error},
    formula::neutralize,
    write::Written,
};
use crate::{
    base::{error::Result, time::rfc3339},
    jobs::Context,
    platform::{db::sql, entities::export},
};

/// A table of the archive: its name, its columns, and where they come from. `$1` is the user.
type Table = (&'static str, &'static [&'static str], &'static str);

/// Without hashes and keys, which say nothing to their owner.
const TABLES: [Table; 8] = [
    (
        "account",
        &[
            "id",
            "username",
            "email",
            "email_verified",
            "pending_email",
            "role",
            "is_attendant",
            "phone_number",
            "phone_verified_at",
            "reminders_off",
            "reports_off",
            "last_login_at",
            "created_at",
        ],
        "users WHERE id = $1",
    ),
    ("vehicles", &["plate", "created_at"], "vehicles WHERE user_id = $1 ORDER BY position"),
    (
        "reservations",
        &[
            "id",
            "lot_id",
            "spot_id",
            "state",
            "plate",
            "starts_at",
            "ends_at",
            "arrived_at",
            "left_at",
            "created_at",
            "hourly_rate_minor",
            "cost_minor",
        ],
        "reservations WHERE user_id = $1 ORDER BY id",
    ),
    (
        "payments",
        &[
            "id",
            "cost_minor",
            "payment_state",
            "payment_method",
            "transaction_id",
            "paid_at",
            "payment_verified_at",
            "waive_reason",
        ],
        "reservations WHERE user_id = $1 AND payment_state IS NOT NULL ORDER BY id",
    ),
    (
        "sessions",
        &["user_agent", "created_at", "expires_at", "ended_at", "confirmed_at"],
        "sessions WHERE user_id = $1 ORDER BY created_at, id",
    ),
    ("activity", &["kind", "subject", "created_at"], "user_activity WHERE user_id = $1 ORDER BY id"),
    (
        "messages",
        &["kind", "channel", "state", "created_at", "updated_at"],
        "email_deliveries WHERE user_id = $1 ORDER BY created_at, key",
    ),
    (
        "audit",
        &["id", "at", "actor_id", "origin", "action", "object_kind", "object_id", "details"],
        "audit WHERE actor_id = $1 OR object_kind = 'user' AND object_id = $1 ORDER BY id",
    ),
];

const README: &str =
    "This is what Parkade stores about you, in one file as JSON, and as a CSV file for each kind.

account.csv       your account, and which mails you have turned off
vehicles.csv      your plates
reservations.csv  your bookings; amounts are in the smallest unit of the currency
payments.csv      what became of each bill
sessions.csv      your logins
activity.csv      what you did
messages.csv      which mails and SMS were sent to you
audit.csv         security events about you, and what you did as staff
data.json         all of it, and the currency
";

/// Writes the archive.
pub(super) async fn write(context: &Context, export: &export::Model) -> Result<Written> {
    let app = &context.app;
    context.progress.set(0, TABLES.len() as i64);
    let mut tables = Vec::with_capacity(TABLES.len());
    for (index, table) in TABLES.iter().enumerate() {
        tables.push((table, rows(context, table, export.user_id).await?));
        context.progress.set(index as i64 + 1, TABLES.len() as i64);
    }
    let facts = json!({ "currency": app.config.currency.code(), "made_at": rfc3339(export.created_at) });
    let stop = CancellationToken::new();
    let file = PartFile::create(&app.config.upload_folder, context.id, export.format, stop.clone());
    let file = file.map_err(write_error)?;
    let _stop_when_dropped = stop.drop_guard();
    let writing = tokio::task::spawn_blocking(move || archive(&tables, facts, file).map_err(write_error));
    writing.await.context("the writing thread")?
}

async fn rows(context: &Context, (_, columns, source): &Table, user_id: i64) -> Result<Vec<Value>> {
    let db = context.app.db.read();
    let text = format!("SELECT {} FROM {source}", columns.join(", "));
    Ok(JsonValue::find_by_statement(sql(db, &text, [user_id.into()])).all(db).await?)
}

fn archive(tables: &[(&Table, Vec<Value>)], facts: Value, mut file: PartFile) -> io::Result<Written> {
    // What one person has done fits in memory, and the format needs to seek.
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, content: &[u8]| {
        zip.start_file(name, SimpleFileOptions::default()).map_err(io::Error::other)?;
        zip.write_all(content)
    };
    add("README.txt", README.as_bytes())?;
    let mut all = Map::new();
    if let Value::Object(facts) = facts {
        all.extend(facts);
    }
    for ((name, columns, _), rows) in tables {
        add(&format!("{name}.csv"), &csv(columns, rows)?)?;
        all.insert((*name).to_owned(), rows.clone().into());
    }
    add("data.json", &serde_json::to_vec_pretty(&all)?)?;
    file.write_all(&zip.finish().map_err(io::Error::other)?.into_inner())?;
    let facts = file.sync()?;
    let rows = tables.iter().map(|(_, rows)| rows.len() as i64).sum();
    Ok(Written { file, facts, rows })
}

fn csv(columns: &[&str], rows: &[Value]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns)?;
    for row in rows {
        let cells = columns.iter().map(|column| match &row[*column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let cells: Vec<String> = cells.collect();
        writer.write_record(cells.iter().map(|cell| neutralize(cell.as_bytes())))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
