//! Adding a version of a tariff.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tariff::Version as Tariff;

use super::{
    holidays,
    versions::{Version, insert},
};
use crate::{
    app::App,
    base::{
        currency::Currency,
        error::{Error, FieldError, Result},
    },
    jobs::Change,
    parking::{
        audit::{self, Action, Actor, Object},
        lots,
        rules::pricing::Terms,
    },
    platform::{cache::Group, db::retry_on_conflict},
};

/// How far ahead a version may come into force.
const MAX_LEAD: TimeDelta = TimeDelta::days(366);

/// A version that an administrator wants.
#[derive(Debug, Clone)]
pub struct NewTariff {
    /// From when stays are booked by it; now by default.
    pub valid_from: Option<DateTime<Utc>>,
    /// The prices.
    pub tariff: Tariff,
}

/// Checks a tariff. `parent` is where it is in the request, as a JSON pointer.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn check(tariff: &Tariff, parent: &str) -> Result<()> {
    let problems = tariff.validate().err().unwrap_or_default();
    let mut wrong: Vec<FieldError> = problems
        .into_iter()
        .map(|problem| FieldError {
            pointer: format!("{parent}{}", problem.pointer),
            message: problem.message,
        })
        .collect();
    let currency = Currency::installed().code();
    if wrong.is_empty() && tariff.currency != currency {
        let message = format!("must be {currency}, the currency of this installation");
        wrong.push(FieldError { pointer: format!("{parent}/currency"), message });
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

/// Adds a version to the tariff of a lot. Stays that are booked from its beginning on are billed by it; others keep theirs.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong; [`Error::NotFound`].
pub async fn add(app: &App, by: &Actor, lot_id: i64, new: NewTariff) -> Result<Version> {
    check(&new.tariff, "/tariff")?;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let lot = lots::lock(change.tx(), lot_id).await?;
        // After the lock, so that versions with the same beginning are in the order of their ids.
        let now = app.clock.now();
        let valid_from = new.valid_from.unwrap_or(now);
        if valid_from < now {
            let message = "must not be in the past: stays keep the tariff that they were booked by";
            return Err(Error::invalid("/valid_from", message));
        }
        if valid_from - now > MAX_LEAD {
            return Err(Error::invalid("/valid_from", "must be within the next 366 days"));
        }
        let holidays = holidays::read(change.tx(), lot_id).await?;
        let terms = Terms { tariff: new.tariff.clone(), zone: app.config.zone, holidays };
        let id = insert(change.tx(), lot_id, valid_from, now, &terms).await?;
        lots::touch(change.tx(), &lot, now).await?;
        let details = json!({ "tariff_version_id": id, "valid_from": valid_from });
        audit::record(change.tx(), now, by, Action::TariffAdded, Object::Lot(lot_id), &details).await?;
        change.invalidates([Group::Catalog]);
        change.commit().await?;
        Ok(Version { id, valid_from, created_at: now, hourly_rate: None, terms: Some(terms) })
    })
    .await
}
