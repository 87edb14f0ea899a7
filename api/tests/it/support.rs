//! Shared helpers: rows by SQL, many drivers, clients of other processes.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, JsonValue};
use serde_json::Value;
use shared::{
    operations,
    parking::accounts::session,
    platform::db::{at, sql},
};
use testkit::{Answer, Driver, Engine, TestApp};
pub(crate) use testkit::{change, number};

/// The time of the fixed clocks in tests.
pub(crate) fn noon() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

/// The text in column `t` of the only row.
pub(crate) async fn text(t: &TestApp, query: &str) -> String {
    let db = t.app.db.read();
    let row = db.query_one_raw(sql(db, query, [])).await.unwrap().expect("a row");
    row.try_get("", "t").unwrap()
}

/// The row counts of all tables, and the contents of those that requests change.
pub(crate) async fn content(t: &TestApp) -> Vec<String> {
    let db = t.app.db.read();
    let mut lines = Vec::new();
    for table in operations::TABLES {
        let rows = JsonValue::find_by_statement(sql(db, &format!("SELECT * FROM {table}"), [])).all(db).await;
        let mut rows: Vec<String> = rows.unwrap().iter().map(|row| format!("{table} {row}")).collect();
        rows.sort_unstable();
        lines.push(format!("{table}: {} rows", rows.len()));
        lines.append(&mut rows);
    }
    lines
}

/// Drivers with sessions, without hashing a password for each.
pub(crate) async fn many_drivers(t: &TestApp, prefix: &str, count: usize) -> Vec<Driver> {
    let now = t.app.clock.now();
    let tx = t.app.db.begin().await.unwrap();
    let mut drivers = Vec::with_capacity(count);
    for i in 0..count {
        let name = format!("{prefix}{i}");
        let email = format!("{name}@example.com");
        let insert = sql(
            &tx,
            "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
             VALUES ($1, $1, $2, $2, 'none', 'user', $3) RETURNING id",
            [name.as_str().into(), email.as_str().into(), at(now)],
        );
        let id = tx.query_one_raw(insert).await.unwrap().expect("an id").try_get("", "id").unwrap();
        let token = session::open(&t.app, &tx, id, None).await.unwrap();
        drivers.push(Driver { id, token, email });
    }
    tx.commit().await.unwrap();
    drivers
}

/// Reserves a spot by SQL, without the checks of the API. Returns the id, or the database's error.
pub(crate) async fn reserve(
    t: &TestApp,
    user: i64,
    spot: i64,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<i64, DbErr> {
    let db = t.app.db.write();
    let row = db
        .query_one_raw(sql(
            db,
            "INSERT INTO reservations
                (user_id, lot_id, spot_id, state, starts_at, ends_at, hourly_rate_minor, created_at)
             SELECT $1, s.lot_id, s.id, 'reserved', $3, $4, l.price_minor, $3
             FROM spots s JOIN lots l ON l.id = s.lot_id WHERE s.id = $2 RETURNING id",
            [user.into(), spot.into(), at(from), at(until)],
        ))
        .await?;
    row.expect("the spot exists").try_get("", "id")
}

/// The spots of a lot, by number.
pub(crate) async fn spots(t: &TestApp, lot: i64) -> Vec<i64> {
    let db = t.app.db.read();
    let text = "SELECT id FROM spots WHERE lot_id = $1 ORDER BY number";
    let rows = db.query_all_raw(sql(db, text, [lot.into()])).await.unwrap();
    rows.iter().map(|row| row.try_get("", "id").unwrap()).collect()
}

/// Reads until a write by another process is shown, which takes a second at most.
pub(crate) async fn shown<T: PartialEq + std::fmt::Debug>(expected: T, read: impl AsyncFn() -> T) {
    let begun = Instant::now();
    loop {
        let is_late = begun.elapsed() > Duration::from_secs(1);
        let found = read().await;
        if found == expected {
            return;
        }
        assert!(!is_late, "{found:?} instead of {expected:?}");
    }
}

/// The body without the human-readable `msg`.
pub(crate) fn plain(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    let msg = body.as_object_mut().and_then(|object| object.remove("msg"));
    assert!(msg.is_some_and(|msg| msg.is_string()), "every answer has a msg: {}", answer.text);
    body
}

/// Compares only the members that `expected` has, at any depth.
#[track_caller]
pub(crate) fn has(found: &Value, expected: &Value) {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            found.iter().zip(expected).for_each(|(found, expected)| has(found, expected));
        }
        (Value::Object(_), Value::Object(expected)) => {
            expected.iter().for_each(|(member, expected)| has(&found[member], expected));
        }
        _ => assert_eq!(found, expected),
    }
}

/// The pointers of a 400 about invalid fields, in order.
pub(crate) fn pointers(answer: &Answer) -> Vec<&str> {
    answer.problem(400, "invalid");
    let errors = answer.body["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect()
}

/// A client of an API process.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the process at this base address.
    pub(crate) fn of(base: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { base: base.to_owned(), http }
    }

    /// Returns the status and the body.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        (response.status(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, token, Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, token, None).await
    }
}

/// Runs all calls in parallel and returns the results in order.
pub(crate) async fn at_once<F>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let tasks: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    try_join_all(tasks).await.expect("no call panics")
}

/// Both engines, for tests that start the application themselves.
pub(crate) const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];
