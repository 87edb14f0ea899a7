//! Opening a lot.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde_json::json;

use super::{
    Moment, capacity,
    lot::{Lot, find_in, validate},
};
use crate::{
    app::App,
    base::{error::Result, money::Money},
    jobs::Change,
    parking::audit::{self, Action, Actor, Object},
    platform::{cache::Group, counters::Event, entities::lot, idempotency::Idempotency},
};

/// The details of a new lot.
#[derive(Debug, Clone)]
pub struct NewLot {
    /// The name.
    pub location_name: String,
    /// Per started hour.
    pub price: Money,
    /// The postal address.
    pub address: String,
    /// The postal code.
    pub pincode: String,
    /// The number of spots.
    pub number_of_slots: i64,
}

/// Opens a lot with all its spots.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) with every invalid field.
pub async fn create(app: &App, by: &Actor, mut new: NewLot, idempotency: Idempotency<Lot>) -> Result<Lot> {
    let texts = [&mut new.location_name, &mut new.address, &mut new.pincode].map(Some);
    validate(texts, Some(new.number_of_slots))?;
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    let row = lot::ActiveModel {
        location_name: Set(new.location_name),
        address: Set(new.address),
        pincode: Set(new.pincode),
        price_minor: Set(new.price.minor()),
        number_of_slots: Set(new.number_of_slots),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        archived_at: Set(None),
        ..Default::default()
    }
    .insert(change.tx())
    .await?;
    capacity::add_spots(change.tx(), row.id, 1, row.number_of_slots).await?;
    let lot = find_in(change.tx(), row.id, Moment::of(app)).await?;
    let details = json!({ "price": lot.price, "number_of_slots": lot.number_of_slots });
    audit::record(change.tx(), now, by, Action::LotCreated, Object::Lot(lot.id), &details).await?;
    change.invalidates([Group::Catalog]);
    change.counts(Event::LotCreated);
    change.commit_with_answer(&idempotency, lot).await
}
