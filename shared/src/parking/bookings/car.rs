//! A car that parks: whose it is, and its plate.

use sea_orm::ConnectionTrait;

use crate::{
    base::error::{Error, Result},
    platform::db::sql,
};

/// A plate as entered, and the form in which plates are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plate {
    pub(super) text: String,
    pub(super) key: String,
}

impl Plate {
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid("/plate", why);
        let text = spelling::plate(text).map_err(wrong)?;
        let key = spelling::plate_key(&text).ok_or_else(|| wrong("must contain letters or digits".into()))?;
        Ok(Self { text, key })
    }
}

/// A car that parks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Car {
    /// The driver, or the house account of the lot.
    pub(super) user_id: i64,
    /// `None` for the first vehicle of the driver.
    pub(super) plate: Option<Plate>,
    /// Whether the car has no account.
    pub(super) is_house: bool,
}

impl Car {
    /// The first vehicle of a driver.
    pub(super) const fn of(user_id: i64) -> Self {
        Self { user_id, plate: None, is_house: false }
    }

    /// A vehicle of a driver, by default the first one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the driver has no such vehicle.
    pub(super) async fn chosen(
        db: &impl ConnectionTrait,
        user_id: i64,
        vehicle_id: Option<i64>,
    ) -> Result<Self> {
        let Some(vehicle_id) = vehicle_id else { return Ok(Self::of(user_id)) };
        let text = "SELECT plate FROM vehicles WHERE id = $1 AND user_id = $2";
        let row = db.query_one_raw(sql(db, text, [vehicle_id.into(), user_id.into()])).await?;
        let plate: String = row.ok_or(Error::NotFound("vehicle"))?.try_get("", "plate")?;
        Ok(Self { user_id, plate: Some(Plate::parse(&plate)?), is_house: false })
    }

    /// # Errors
    /// [`Error::Conflict`] if the car or its driver is parked already.
    pub(super) async fn check_not_parked(&self, db: &impl ConnectionTrait) -> Result<()> {
        if !self.is_house && is_parked(db, self.user_id).await? {
            return Err(already_parked());
        }
        let text = "SELECT 1 AS one FROM reservations WHERE state = 'active' AND plate_key = COALESCE($1,
            (SELECT plate_key FROM vehicles WHERE user_id = $2 ORDER BY position, id LIMIT 1))";
        let key = self.plate.as_ref().map(|plate| plate.key.clone());
        match db.query_one_raw(sql(db, text, [key.into(), self.user_id.into()])).await? {
            Some(_) => Err(plate_parked()),
            None => Ok(()),
        }
    }
}

/// Whether the driver has a running session.
async fn is_parked(db: &impl ConnectionTrait, user_id: i64) -> Result<bool> {
    // Worded like the index that allows one.
    let text = "SELECT 1 AS one FROM reservations WHERE user_id = $1 AND state = 'active' AND NOT house";
    Ok(db.query_one_raw(sql(db, text, [user_id.into()])).await?.is_some())
}

/// The car with this plate, as its driver spells it. `None` if it belongs to nobody.
pub(super) async fn car_of_driver(db: &impl ConnectionTrait, plate: &Plate) -> Result<Option<Car>> {
    let text = "SELECT user_id, plate FROM vehicles WHERE plate_key = $1";
    let row = db.query_one_raw(sql(db, text, [plate.key.clone().into()])).await?;
    let Some(row) = row else { return Ok(None) };
    let plate = Plate { text: row.try_get("", "plate")?, key: plate.key.clone() };
    Ok(Some(Car { user_id: row.try_get("", "user_id")?, plate: Some(plate), is_house: false }))
}

pub(super) fn already_parked() -> Error {
    Error::conflict("already_parked", "you have a running session; release its spot before you book another")
}

pub(super) fn plate_parked() -> Error {
    Error::conflict("plate_parked", "a car with this plate is parked already; end that session first")
}
