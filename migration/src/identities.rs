//! Fills the keys of `m20_vehicles_and_identities`, a thousand rows at a time.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value},
};
use spelling::{Country, mail, name_key, phone, plate_key};

use crate::migration::{Conversion, Settings};

/// Rows in memory, and in one statement: three values each are below the limits of both engines.
const BATCH: i64 = 1000;

/// How many users a report names.
const SHOWN: usize = 10;

/// Also where an older account has the address: its user gets the same mails as before, and logs in as before.
const DELIVERABLE: &str =
    "UPDATE users SET email = mail_key WHERE mail_key IS NOT NULL AND email <> mail_key";

/// A number stays as it was entered if another account shows the complete one.
const COMPLETE: &str = "UPDATE users SET phone_number = phone_key WHERE phone_number <> phone_key
    AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.phone_number = users.phone_key)";

/// A column with keys.
#[derive(Debug)]
struct Key {
    table: &'static str,
    column: &'static str,
    /// Rows that should have a key.
    rows: &'static str,
    /// The user of a row.
    user: &'static str,
    what: &'static str,
}

const KEYS: [Key; 4] = [
    Key { table: "users", column: "name_key", rows: "deleted_at IS NULL", user: "id", what: "user name" },
    Key { table: "users", column: "mail_key", rows: "deleted_at IS NULL", user: "id", what: "mail address" },
    Key {
        table: "users",
        column: "phone_key",
        rows: "deleted_at IS NULL AND phone_number IS NOT NULL",
        user: "id",
        what: "phone number",
    },
    Key { table: "vehicles", column: "plate_key", rows: "1 = 1", user: "user_id", what: "plate" },
];

/// Values of living accounts without a key: another spelling of what an older account has, or not valid by the rules of
/// today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithoutKey {
    /// What they are: `phone number`.
    pub what: &'static str,
    /// How many.
    pub count: i64,
    /// The users of the first of them.
    pub users: Vec<i64>,
}

/// Every kind of value of which some have no key.
///
/// # Errors
/// If the database cannot be read.
pub async fn without_key(db: &impl ConnectionTrait) -> Result<Vec<WithoutKey>, DbErr> {
    let mut found = Vec::new();
    for Key { table, column, rows, user, what } in &KEYS {
        let text = format!(
            "SELECT {user} AS user_id, COUNT(*) OVER () AS n FROM {table}
             WHERE {column} IS NULL AND {rows} ORDER BY id LIMIT {SHOWN}"
        );
        let rows = db.query_all_raw(statement(db, &text, [])).await?;
        let Some(first) = rows.first() else { continue };
        let users = rows.iter().map(|row| row.try_get("", "user_id")).collect::<Result<_, _>>()?;
        found.push(WithoutKey { what, count: first.try_get("", "n")?, users });
    }
    Ok(found)
}

pub(crate) fn convert<'a>(db: &'a SchemaManagerConnection<'a>, settings: &'a Settings) -> Conversion<'a> {
    Box::pin(async move {
        fill_users(db, settings.phone_country).await?;
        fill_vehicles(db).await?;
        db.execute_unprepared(DELIVERABLE).await?;
        for key in &KEYS {
            release_duplicates(db, key).await?;
        }
        db.execute_unprepared(COMPLETE).await?;
        for WithoutKey { what, count, users } in without_key(db).await? {
            tracing::warn!(
                count,
                ?users,
                "{what}s without a key: older accounts have them in another spelling, or they are not valid; \
                 parkade-api doctor lists them"
            );
        }
        Ok(())
    })
}

async fn fill_users(db: &SchemaManagerConnection<'_>, country: Country) -> Result<(), DbErr> {
    let select = "SELECT id, username, email, phone_number FROM users
        WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2";
    let update = "UPDATE users SET name_key = v.column2, mail_key = v.column3, phone_key = v.column4";
    in_batches(db, select, update, "users", |row| {
        let (username, email): (String, String) = (row.try_get("", "username")?, row.try_get("", "email")?);
        let number: Option<String> = row.try_get("", "phone_number")?;
        let number = number.and_then(|text| phone(&text, country).ok());
        Ok(vec![name_key(&username), mail(&email).ok(), number])
    })
    .await
}

async fn fill_vehicles(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let select = "SELECT id, plate FROM vehicles WHERE id > $1 ORDER BY id LIMIT $2";
    let update = "UPDATE vehicles SET plate_key = v.column2";
    in_batches(db, select, update, "vehicles", |row| {
        Ok(vec![plate_key(&row.try_get::<String>("", "plate")?)])
    })
    .await
}

/// Computes values from each row of `select`, by id, and sets them with `update`.
async fn in_batches(
    db: &SchemaManagerConnection<'_>,
    select: &str,
    update: &str,
    table: &str,
    compute: impl Fn(&QueryResult) -> Result<Vec<Option<String>>, DbErr>,
) -> Result<(), DbErr> {
    let mut last = i64::MIN;
    loop {
        let rows = db.query_all_raw(statement(db, select, [last.into(), BATCH.into()])).await?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = end.try_get("", "id")?;
        let (mut values, mut tuples): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
        for row in &rows {
            let mut columns = Vec::new();
            values.push(row.try_get::<i64>("", "id")?.into());
            columns.push(format!("CAST(${} AS BIGINT)", values.len()));
            for value in compute(row)? {
                values.push(value.into());
                columns.push(format!("CAST(${} AS TEXT)", values.len()));
            }
            tuples.push(format!("({})", columns.join(", ")));
        }
        let text = format!("{update} FROM (VALUES {}) AS v WHERE {table}.id = v.column1", tuples.join(", "));
        db.execute_raw(statement(db, &text, values)).await?;
    }
}

/// Leaves each key to its oldest row.
async fn release_duplicates(db: &SchemaManagerConnection<'_>, key: &Key) -> Result<(), DbErr> {
    let Key { table, column, .. } = key;
    let text = format!(
        "UPDATE {table} SET {column} = NULL WHERE id IN (
            SELECT id FROM (
                SELECT id, ROW_NUMBER() OVER (PARTITION BY {column} ORDER BY id) AS place
                FROM {table} WHERE {column} IS NOT NULL
            ) AS ranked WHERE place > 1)"
    );
    db.execute_unprepared(&text).await.map(drop)
}

fn statement(db: &impl ConnectionTrait, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}
