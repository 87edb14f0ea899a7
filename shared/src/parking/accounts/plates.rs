//! The rows of a user's vehicles. The plate of the first one is repeated in the user's row, for lists of users.

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::conflict::conflict;
use crate::{
    base::error::Result,
    platform::db::{Transaction, at, sql},
};

/// A vehicle of a user.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Vehicle {
    /// Its id.
    pub id: i64,
    /// The plate as it was entered.
    pub plate: String,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

const OF_USER: &str = "SELECT id, plate, created_at FROM vehicles WHERE user_id = $1 ORDER BY position, id";

pub(super) async fn of_user(db: &impl ConnectionTrait, user_id: i64) -> Result<Vec<Vehicle>> {
    Ok(Vehicle::find_by_statement(sql(db, OF_USER, [user_id.into()])).all(db).await?)
}

/// The plate of the user's first vehicle.
pub(super) async fn first(db: &impl ConnectionTrait, user_id: i64) -> Result<Option<String>> {
    Ok(of_user(db, user_id).await?.into_iter().next().map(|vehicle| vehicle.plate))
}

/// Adds a vehicle as the user's last one.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    user_id: i64,
    plate: &str,
) -> Result<Vehicle> {
    let text = "INSERT INTO vehicles (user_id, plate, plate_key, position, created_at)
        SELECT $1, $2, $3, COALESCE(MAX(position), 0) + 1, $4 FROM vehicles WHERE user_id = $1
        RETURNING id, plate, created_at";
    let values = [user_id.into(), plate.into(), spelling::plate_key(plate).into(), at(now)];
    let row = Vehicle::find_by_statement(sql(db, text, values)).one(db).await.map_err(conflict)?;
    row.ok_or_else(|| anyhow!("the vehicle was not inserted").into())
}

/// Gives the user's first vehicle another plate, or makes the vehicle with this plate the first. Without a plate, removes
/// the first vehicle.
pub(super) async fn replace_first(
    tx: &Transaction,
    now: DateTime<Utc>,
    user_id: i64,
    plate: Option<&str>,
) -> Result<()> {
    let vehicles = of_user(tx, user_id).await?;
    let execute = async |text: &str, values: Vec<Value>| {
        tx.execute_raw(sql(tx, text, values)).await.map(drop).map_err(conflict)
    };
    let (Some(first), plate) = (vehicles.first(), plate) else {
        return match plate {
            Some(plate) => insert(tx, now, user_id, plate).await.map(drop),
            None => Ok(()),
        };
    };
    let Some(plate) = plate else {
        return execute("DELETE FROM vehicles WHERE id = $1", vec![first.id.into()]).await;
    };
    let key = spelling::plate_key(plate);
    let own = vehicles.iter().find(|vehicle| spelling::plate_key(&vehicle.plate) == key);
    let text = "UPDATE vehicles SET plate = $2, plate_key = $3, position = (
            SELECT MIN(position) - CASE WHEN $4 THEN 1 ELSE 0 END FROM vehicles WHERE user_id = $5)
        WHERE id = $1";
    let id = own.unwrap_or(first).id;
    let values = vec![id.into(), plate.into(), key.into(), (id != first.id).into(), user_id.into()];
    execute(text, values).await
}

/// Repeats the plate of the first vehicle in the user's row, for lists of users.
pub(super) async fn name_first(tx: &Transaction, user_id: i64) -> Result<()> {
    let plate = first(tx, user_id).await?;
    let text = "UPDATE users SET vehicle_number = $2 WHERE id = $1";
    tx.execute_raw(sql(tx, text, [user_id.into(), plate.into()])).await.map(drop).map_err(conflict)
}
