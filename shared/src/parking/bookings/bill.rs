//! The bill of a completed stay, line by line.

use super::list::find;
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        money::Money,
    },
    parking::rules::state::State,
};

/// A bill, recomputed from what the reservation keeps: hourly rate or tariff version, arrival and departure.
#[derive(Debug)]
pub struct StayBill {
    /// The lines with their rules.
    pub bill: tariff::Bill,
    /// What the stored price is above the bill; not zero only if an upgrade rounded one of its amounts.
    pub rounding: Money,
    /// The stored price.
    pub total: Money,
}

/// The bill of a stay of the caller, or of any for an administrator.
///
/// # Errors
/// [`Error::NotFound`] for somebody else's reservation; [`Error::Conflict`] before the departure.
pub async fn bill(app: &App, who: &Identity, id: i64) -> Result<StayBill> {
    let stay = find(app, who, id).await?;
    let times = stay.arrived_at.zip(stay.left_at).filter(|_| stay.state == State::Completed);
    let (arrived, left) = times.ok_or_else(not_ended)?;
    let bill = stay.pricing().bill(arrived, left);
    let rounding = Money::from_minor(stay.cost.minor().saturating_sub(bill.total));
    Ok(StayBill { bill, rounding, total: stay.cost })
}

pub(super) fn not_ended() -> Error {
    Error::conflict("wrong_state", "the session has not ended, so there is no bill yet")
}
