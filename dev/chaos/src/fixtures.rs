//! Users, a lot and a history, written straight to the database.

use anyhow::{Context, Result};
use sea_orm::ConnectionTrait;
use shared::{
    app::App,
    base::money::Money,
    parking::{
        audit::Actor,
        lots::{self, NewLot},
    },
    platform::{
        db::{Engine, at, sql},
        idempotency::Idempotency,
    },
};
use uuid::Uuid;

/// Reservations of [`history`].
const STAYS: u32 = 30_000;

/// A new user without a password.
pub async fn user(app: &App) -> Result<i64> {
    let name = format!("c{}", Uuid::new_v4().simple());
    let db = app.db.write();
    let text = "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
         VALUES ($1, $1, $2, $2, '', 'user', $3) RETURNING id";
    let values = [name.clone().into(), format!("{name}@example.com").into(), at(app.clock.now())];
    let row = db.query_one_raw(sql(db, text, values)).await?.context("no id")?;
    Ok(row.try_get("", "id")?)
}

/// Many completed reservations of one spot, a minute each.
pub async fn history(app: &App, user: i64, lot: i64) -> Result<()> {
    let time = |seconds: &str| match app.db.engine() {
        Engine::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%S+00:00', {seconds}, 'unixepoch')"),
        Engine::Postgres => format!("to_timestamp({seconds})"),
    };
    let (arrived, left) = (time("1700000000 + n * 60"), time("1700000060 + n * 60"));
    let text = format!(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {STAYS})
         INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at,
            hourly_rate_minor, cost_minor, transaction_id, payment_method, created_at)
         SELECT {user}, {lot}, (SELECT MIN(id) FROM spots WHERE lot_id = {lot}), 'completed', {arrived}, {arrived},
            {left}, 2550, 2550, 'TXN-{user}-' || n, 'UPI', {left} FROM c"
    );
    app.db.write().execute_unprepared(&text).await?;
    Ok(())
}

/// The user's active reservation.
pub async fn active_reservation(app: &App, user: i64) -> Result<Option<i64>> {
    let db = app.db.read();
    let text = "SELECT id FROM reservations WHERE user_id = $1 AND state = 'active'";
    let row = db.query_one_raw(sql(db, text, [user.into()])).await?;
    Ok(row.map(|row| row.try_get("", "id")).transpose()?)
}

/// A new lot with this many spots.
pub async fn lot(app: &App, spots: i64) -> Result<i64> {
    let lot = NewLot {
        location_name: "Chaos".into(),
        price: Money::from_minor(2550),
        address: "1, Main Street".into(),
        pincode: "400001".into(),
        number_of_slots: spots,
    };
    Ok(lots::create(app, &Actor::COMMAND_LINE, lot, Idempotency::none()).await?.id)
}
