//! Who the people of a run with troubles are, and how they talk to the API.

use std::time::Duration;

use anyhow::{Context, Result};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use shared::{
    app::App,
    base::money::Money,
    parking::lots::{self, NewLot},
    platform::{
        db::{Engine, at, sql},
        idempotency::Idempotency,
    },
};
use uuid::Uuid;

use crate::http::{Connection, request};

/// Stays of the courier.
const STAYS: u32 = 30_000;
const TIMEOUT: Duration = Duration::from_secs(10);

/// One connection, opened again when it breaks.
pub struct Client {
    address: String,
    token: String,
    /// While it is sound.
    pub connection: Option<Connection>,
}

impl Client {
    /// Not connected yet.
    pub fn new(address: &str, token: String) -> Self {
        Self { address: address.to_owned(), token, connection: None }
    }

    /// Posts JSON. `None` when there is no answer.
    pub async fn post(&mut self, path: &str, body: &Value, key: Option<&str>) -> Option<(u16, Value)> {
        let key = key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
        self.send("POST", path, &key, &body.to_string()).await
    }

    /// Reads. `None` when there is no answer.
    pub async fn get(&mut self, path: &str) -> Option<(u16, Value)> {
        self.send("GET", path, "", "").await
    }

    async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
        let headers = format!("authorization: Bearer {}\r\n{headers}", self.token);
        let request = request(&self.address, method, path, &headers, body);
        let sending = async {
            if self.connection.is_none() {
                self.connection = Some(Connection::open(&self.address).await?);
            }
            let connection = self.connection.as_mut().context("a connection")?;
            let (status, body) = connection.send(&request).await?;
            anyhow::Ok((status, serde_json::from_slice(body).unwrap_or_default()))
        };
        let answer = tokio::time::timeout(TIMEOUT, sending).await.ok()?.ok();
        if answer.is_none() {
            self.connection = None;
        }
        answer
    }
}

/// Somebody without a history, and without a password.
pub async fn user(app: &App) -> Result<i64> {
    let name = format!("c{}", Uuid::new_v4().simple());
    let db = app.db.write();
    let text = "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
         VALUES ($1, $1, $2, $2, '', 'user', $3) RETURNING id";
    let values = [name.clone().into(), format!("{name}@example.com").into(), at(app.clock.now())];
    let row = db.query_one_raw(sql(db, text, values)).await?.context("a user")?;
    Ok(row.try_get("", "id")?)
}

/// So many stays at one spot, a minute each.
pub async fn history(app: &App, user: i64, lot: i64) -> Result<()> {
    let time = |seconds: &str| match app.db.engine() {
        Engine::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%S+00:00', {seconds}, 'unixepoch')"),
        Engine::Postgres => format!("to_timestamp({seconds})"),
    };
    let (came, left) = (time("1700000000 + n * 60"), time("1700000060 + n * 60"));
    let text = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {STAYS})
         INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at,
            hourly_rate_minor, cost_minor, transaction_id, payment_method, created_at)
         SELECT {user}, {lot}, (SELECT MIN(id) FROM spots WHERE lot_id = {lot}), 'completed', {came}, {came}, {left},
            2550, 2550, 'TXN-' || n, 'UPI', {left} FROM c"
    );
    app.db.write().execute_unprepared(&text).await?;
    Ok(())
}

/// The reservation with which this user is parked now.
pub async fn parked(app: &App, user: i64) -> Result<Option<i64>> {
    let db = app.db.read();
    let text = "SELECT id FROM reservations WHERE user_id = $1 AND state = 'active'";
    let row = db.query_one_raw(sql(db, text, [user.into()])).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// A lot with that many spots.
pub async fn lot(app: &App, spots: i64) -> Result<i64> {
    let lot = NewLot {
        location_name: "Chaos".into(),
        price: Money::from_minor(2550),
        address: "1, Main Street".into(),
        pincode: "400001".into(),
        number_of_slots: spots,
    };
    Ok(lots::create(app, lot, Idempotency::none()).await?.id)
}
