//! Listing, adding and removing the vehicles of a user. The first one is the `vehicle_number` of the account.

use sea_orm::ConnectionTrait;

pub use super::plates::Vehicle;
use super::{
    find::by_id,
    plates::{insert, name_first, of_user},
    user,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    platform::{
        cache::Group,
        db::{retry_on_conflict, sql},
        idempotency::Idempotency,
    },
};

/// How many vehicles a user may have.
const MAX_VEHICLES: usize = 10;

/// The user's vehicles, the first one first.
///
/// # Errors
/// [`Error::NotFound`] for an unknown user.
pub async fn list_vehicles(app: &App, user_id: i64) -> Result<Vec<Vehicle>> {
    by_id(app, user_id).await?;
    of_user(app.db.read(), user_id).await
}

/// Adds a vehicle after those that the user has.
///
/// # Errors
/// [`Error::NotFound`] for an unknown user; [`Error::Invalid`]; [`Error::Conflict`] if an account has it, or the user has too
/// many.
pub async fn add_vehicle(
    app: &App,
    user_id: i64,
    plate: &str,
    idempotency: Idempotency<Vehicle>,
) -> Result<Vehicle> {
    let plate = spelling::plate(plate).map_err(|why| Error::invalid("/plate", why))?;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        user::lock(change.tx(), user_id).await?;
        let vehicles = of_user(change.tx(), user_id).await?;
        let key = spelling::plate_key(&plate);
        if vehicles.iter().any(|vehicle| spelling::plate_key(&vehicle.plate) == key) {
            return Err(Error::conflict("vehicle_taken", "this vehicle is already in the account"));
        }
        if vehicles.len() >= MAX_VEHICLES {
            let message = format!("an account has at most {MAX_VEHICLES} vehicles; remove one first");
            return Err(Error::conflict("too_many_vehicles", message));
        }
        let vehicle = insert(change.tx(), app.clock.now(), user_id, &plate).await?;
        name_first(change.tx(), user_id).await?;
        change.invalidates([Group::Users, Group::User(user_id)]);
        change.commit_with_answer(&idempotency, vehicle).await
    })
    .await
}

/// Removes a vehicle. Reservations keep the plate they were made with.
///
/// # Errors
/// [`Error::NotFound`] if the user has no such vehicle.
pub async fn remove_vehicle(app: &App, user_id: i64, id: i64) -> Result<()> {
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        user::lock(change.tx(), user_id).await?;
        let text = "DELETE FROM vehicles WHERE id = $1 AND user_id = $2";
        let removed = change.tx().execute_raw(sql(change.tx(), text, [id.into(), user_id.into()])).await?;
        if removed.rows_affected() == 0 {
            return Err(Error::NotFound("vehicle"));
        }
        name_first(change.tx(), user_id).await?;
        change.invalidates([Group::Users, Group::User(user_id)]);
        change.commit().await
    })
    .await
}
