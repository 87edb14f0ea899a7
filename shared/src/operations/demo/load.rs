//! Loads a plan into an empty database in one transaction.

use std::{
    fmt,
    time::{Duration, Instant},
};

use sea_orm::Value;

use super::{
    bulk_insert::{BulkInsert, Table},
    plan::{ADMIN, DRIVER, Plan},
    rows::{Lot, Reservation, Spot, User},
};
use crate::{
    base::{
        error::{Error, Result},
        plural::plural,
    },
    parking::rules::{payment::PaymentState, state::State},
    platform::db::{Db, at},
};

/// How many rows were loaded. Displayed as a list of counts.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// Rows of `lots`.
    pub lots: u64,
    /// Rows of `spots`.
    pub spots: u64,
    /// Rows of `users`.
    pub users: u64,
    /// Rows of `reservations`.
    pub reservations: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            plural(self.lots, "lot"),
            plural(self.spots, "spot"),
            plural(self.users, "user"),
            plural(self.reservations, "reservation"),
        ];
        f.write_str(&counts.join(", "))
    }
}

const LOTS: Table = Table {
    name: "lots",
    columns: "id, location_name, address, pincode, price_minor, number_of_slots, version, created_at, updated_at",
};

const SPOTS: Table = Table { name: "spots", columns: "id, lot_id, number" };

const USERS: Table = Table {
    name: "users",
    columns: "id, username, username_key, name_key, email, email_key, mail_key, password_hash, role, vehicle_number, \
              phone_number, phone_key, created_at",
};

const VEHICLES: Table =
    Table { name: "vehicles", columns: "id, user_id, plate, plate_key, position, created_at" };

const RESERVATIONS: Table = Table {
    name: "reservations",
    columns: "id, user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at, hourly_rate_minor, \
              cost_minor, transaction_id, payment_method, created_at, payment_state, paid_at, transaction_key, plate",
};

/// Loads the plan in one transaction. Every account gets `password_hash`. `progress` is called with the number of rows
/// inserted so far; [`Plan::expected_rows`] estimates the total.
///
/// # Errors
/// [`Error::Conflict`] when the database already has lots or the demo's accounts.
pub async fn load(
    db: &Db,
    plan: &Plan,
    password_hash: &str,
    mut progress: impl FnMut(u64),
) -> Result<Loaded> {
    let started = Instant::now();
    let mut transaction = BulkInsert::begin(db).await?;
    let users_before = check_empty(&mut transaction).await?;
    let mut rows = 0;
    let mut count = |batch| {
        rows += batch;
        progress(rows);
    };
    let lots = transaction.insert(&LOTS, plan.lots().map(lot), &mut count).await?;
    let spots = transaction.insert(&SPOTS, plan.spots().map(spot), &mut count).await?;
    let people = plan.users().map(|row| user(row, users_before, password_hash));
    let users = transaction.insert(&USERS, people, &mut count).await?;
    let vehicles_before = transaction.number("SELECT COALESCE(MAX(id), 0) FROM vehicles").await?;
    let vehicles = plan.users().filter_map(|row| vehicle(row, users_before, vehicles_before));
    transaction.insert(&VEHICLES, vehicles, |_| ()).await?;
    let plates: Vec<Option<String>> = plan.users().map(|user| user.vehicle_number).collect();
    let bookings = plan.reservations().map(|row| reservation(row, users_before, &plates));
    let reservations = transaction.insert(&RESERVATIONS, bookings, &mut count).await?;
    finish(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Loaded { lots, spots, users, reservations, elapsed: started.elapsed() })
}

/// Fails if the database is in use; other users may exist. Returns the highest user id.
async fn check_empty(transaction: &mut BulkInsert) -> Result<i64> {
    let accounts = format!("SELECT COUNT(*) FROM users WHERE email_key IN ('{ADMIN}', '{DRIVER}')");
    if transaction.number("SELECT COUNT(*) FROM lots").await? > 0 || transaction.number(&accounts).await? > 0
    {
        let message = "the database is in use: demo data needs a database without lots and demo accounts";
        return Err(Error::conflict("database_not_empty", message));
    }
    transaction.number("SELECT COALESCE(MAX(id), 0) FROM users").await
}

/// Updates the id sequences and the statistics of the query planner.
async fn finish(transaction: &mut BulkInsert) -> Result<()> {
    for table in [LOTS, SPOTS, USERS, VEHICLES, RESERVATIONS] {
        transaction.advance_ids(&table).await?;
        transaction.execute(&format!("ANALYZE {}", table.name)).await?;
    }
    Ok(())
}

fn lot(row: Lot) -> [Value; 9] {
    [
        row.id.into(),
        row.location_name.into(),
        row.address.into(),
        row.pincode.into(),
        row.price_minor.into(),
        row.number_of_slots.into(),
        row.version.into(),
        at(row.created_at),
        at(row.updated_at),
    ]
}

fn spot(row: Spot) -> [Value; 3] {
    [row.id.into(), row.lot_id.into(), row.number.into()]
}

fn user(row: User, users_before: i64, password_hash: &str) -> [Value; 13] {
    [
        (row.id + users_before).into(),
        row.username.as_str().into(),
        row.username.to_lowercase().into(),
        spelling::name_key(&row.username).into(),
        row.email.as_str().into(),
        row.email.as_str().into(),
        row.email.as_str().into(),
        password_hash.into(),
        row.role.into(),
        row.vehicle_number.into(),
        row.phone_number.as_deref().into(),
        row.phone_number.as_deref().into(),
        at(row.created_at),
    ]
}

fn vehicle(row: User, users_before: i64, vehicles_before: i64) -> Option<[Value; 6]> {
    let plate = row.vehicle_number?;
    Some([
        (row.id + vehicles_before).into(),
        (row.id + users_before).into(),
        plate.as_str().into(),
        spelling::plate_key(&plate).into(),
        1_i64.into(),
        at(row.created_at),
    ])
}

fn reservation(row: Reservation, users_before: i64, plates: &[Option<String>]) -> [Value; 18] {
    let plate = usize::try_from(row.user_id - 1).ok().and_then(|user| plates.get(user)?.clone());
    let state = (row.state == State::Completed).then_some(PaymentState::Paid);
    [
        row.id.into(),
        (row.user_id + users_before).into(),
        row.lot_id.into(),
        row.spot_id.into(),
        row.state.as_str().into(),
        at(row.starts_at),
        at(row.ends_at),
        at(row.arrived_at),
        at(row.left_at),
        row.hourly_rate_minor.into(),
        row.cost_minor.into(),
        row.transaction_id.clone().into(),
        row.payment_method.map(str::to_owned).into(),
        at(row.created_at),
        state.map(PaymentState::as_str).map(str::to_owned).into(),
        at(row.left_at),
        row.transaction_id.into(),
        plate.into(),
    ]
}
