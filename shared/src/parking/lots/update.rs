//! Changing a lot.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde_json::{Map, Value, json};

use super::{
    Moment, capacity, etag,
    lot::{Lot, find_in, lock, validate},
    terms::set_hourly,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
    },
    jobs::Change,
    parking::audit::{self, Action, Actor, Object},
    platform::{cache::Group, db::retry_on_conflict, entities::lot},
};

/// The new values of a lot; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct LotChange {
    /// The name.
    pub location_name: Option<String>,
    /// Per started hour, for sessions that start from now on.
    pub price: Option<Money>,
    /// The postal address.
    pub address: Option<String>,
    /// The postal code.
    pub pincode: Option<String>,
    /// The number of spots.
    pub number_of_slots: Option<i64>,
}

/// A lot after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedLot {
    /// The lot; `number_of_slots` does not count the retiring spots.
    pub lot: Lot,
    /// Spots that leave service when their last reservation ends.
    pub retiring_slots: i64,
}

/// Changes a lot. More spots: retired ones return to service before new ones are added. Fewer spots: free ones leave
/// service now, and the others when their last reservation ends.
///
/// `if_match` is the value of the header: one of its tags must match the lot.
///
/// # Errors
/// [`Error::Invalid`] with every invalid field; [`Error::NotFound`]; [`Error::Changed`] if no tag matches.
pub async fn update(
    app: &App,
    by: &Actor,
    id: i64,
    mut new: LotChange,
    if_match: Option<&str>,
) -> Result<ChangedLot> {
    let texts = [&mut new.location_name, &mut new.address, &mut new.pincode];
    validate(texts.map(Option::as_mut), new.number_of_slots)?;
    retry_on_conflict(async || {
        let now = app.clock.now();
        let mut change = Change::begin(app).await?;
        let before = lock(change.tx(), id).await?;
        let lot = before.clone();
        if if_match.is_some_and(|tags| !etag::matches(tags, id, lot.version)) {
            return Err(Error::Changed);
        }
        let slots = new.number_of_slots.unwrap_or(lot.number_of_slots);
        capacity::resize(change.tx(), id, slots - lot.number_of_slots, now).await?;
        lot::ActiveModel {
            id: Set(id),
            location_name: Set(new.location_name.clone().unwrap_or(lot.location_name)),
            address: Set(new.address.clone().unwrap_or(lot.address)),
            pincode: Set(new.pincode.clone().unwrap_or(lot.pincode)),
            price_minor: Set(new.price.map_or(lot.price_minor, Money::minor)),
            number_of_slots: Set(slots),
            version: Set(lot.version + 1),
            updated_at: Set(now),
            ..Default::default()
        }
        .update(change.tx())
        .await?;
        // Clients send the price with every change of a lot; repeating it must not end a tariff.
        if let Some(price) = new.price.filter(|price| price.minor() != before.price_minor) {
            set_hourly(change.tx(), now, id, price).await?;
        }
        let lot = find_in(change.tx(), id, Moment::of(app)).await?;
        let details = differences(&before, &lot);
        audit::record(change.tx(), now, by, Action::LotChanged, Object::Lot(id), &details).await?;
        let retiring_slots = capacity::count_retiring(change.tx(), id).await?;
        let changed = ChangedLot { lot, retiring_slots };
        change.invalidates([Group::Catalog]);
        change.commit().await?;
        Ok(changed)
    })
    .await
}

/// The fields with other values than before.
fn differences(before: &lot::Model, after: &Lot) -> Value {
    let price = Money::from_minor(before.price_minor);
    let fields = [
        ("location_name", json!(before.location_name), json!(after.location_name)),
        ("address", json!(before.address), json!(after.address)),
        ("pincode", json!(before.pincode), json!(after.pincode)),
        ("price", json!(price), json!(after.price)),
        ("number_of_slots", json!(before.number_of_slots), json!(after.number_of_slots)),
    ];
    let changed = fields.into_iter().filter(|(_, before, after)| before != after);
    changed
        .map(|(name, from, to)| (name.to_owned(), json!({ "from": from, "to": to })))
        .collect::<Map<_, _>>()
        .into()
}
