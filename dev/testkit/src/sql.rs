//! Reads and changes rows behind the application's back.

use sea_orm::{ConnectionTrait, DbErr, Value};
use shared::platform::db::sql;

use crate::TestApp;

/// Executes a statement and returns the number of affected rows, or the database's error.
pub async fn change(t: &TestApp, text: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
    let db = t.app.db.write();
    Ok(db.execute_raw(sql(db, text, values)).await?.rows_affected())
}

/// Executes a statement that must succeed and returns the number of affected rows.
pub async fn execute(t: &TestApp, text: &str, values: impl IntoIterator<Item = Value>) -> u64 {
    change(t, text, values).await.expect("the statement runs")
}

/// The number in column `n` of the only row.
pub async fn number(t: &TestApp, query: &str) -> i64 {
    let db = t.app.db.read();
    let row = db.query_one_raw(sql(db, query, [])).await.expect("the query runs").expect("a row");
    row.try_get("", "n").expect("a number called n")
}
