//! A reservation as its owner sees it, and what all changes to one share.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
        money::Money,
    },
    parking::rules::{
        billing,
        payment::{Payment, PaymentState},
        pricing::{Pricing, Terms},
        state::{self, Event, State},
    },
    platform::db::{Transaction, row_lock, sql},
};

/// A reservation with its lot.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Identifies the reservation.
    pub id: i64,
    /// The driver.
    pub user_id: i64,
    /// The lot.
    pub lot_id: i64,
    /// The name of the lot.
    pub lot_name: String,
    /// The address of the lot.
    pub lot_address: String,
    /// The plate that it was made with.
    pub plate: Option<String>,
    /// Whether the car has no account, so that the stay belongs to the house account of the lot.
    pub is_house: bool,
    /// The spot.
    pub spot_id: i64,
    /// The number of the spot within its lot.
    pub spot_number: i64,
    /// The current state.
    pub state: State,
    /// When it was booked.
    pub created_at: DateTime<Utc>,
    /// The beginning of the window; of a session without a window, the arrival.
    pub starts_at: DateTime<Utc>,
    /// The end of the window.
    pub ends_at: Option<DateTime<Utc>>,
    /// The arrival.
    pub arrived_at: Option<DateTime<Utc>>,
    /// The departure.
    pub left_at: Option<DateTime<Utc>>,
    /// Per started hour, unless there are terms; fixed when the spot is booked.
    pub hourly_rate: Money,
    /// The terms of the tariff version that was in force when the spot was booked.
    pub terms: Option<Arc<Terms>>,
    /// The bill or, before it, the quote for a window; zero for a session without a window.
    pub cost: Money,
    /// What became of the bill; `None` before there is one.
    pub payment_state: Option<PaymentState>,
    /// How it was paid.
    pub payment: Payment,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
    /// When an attendant or administrator verified the payment; until then it is what the driver says.
    pub payment_verified_at: Option<DateTime<Utc>>,
    /// Why the bill was waived.
    pub waive_reason: Option<String>,
    /// When the payment was refunded.
    pub refunded_at: Option<DateTime<Utc>>,
    /// The reason for the refund.
    pub refund_reason: Option<String>,
}

impl Reservation {
    /// The arrival or, before it, the beginning of the window.
    #[must_use]
    pub fn parking_time(&self) -> DateTime<Utc> {
        self.arrived_at.unwrap_or(self.starts_at)
    }

    /// The departure or, before the arrival, the end of the window.
    #[must_use]
    pub fn leaving_time(&self) -> Option<DateTime<Utc>> {
        self.left_at.or(self.ends_at.filter(|_| self.state != State::Active))
    }

    /// The duration of a session that has ended, in hours with two decimal places.
    #[must_use]
    pub fn hours(&self) -> Option<f64> {
        Some(billing::hours(self.arrived_at?, self.left_at?))
    }

    /// What the stay is billed by.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        Pricing { hourly_rate: self.hourly_rate, terms: self.terms.clone() }
    }

    /// The hours that are charged, until `now` for a running session; `None` if a tariff has other units.
    #[must_use]
    pub fn charged_hours(&self, now: DateTime<Utc>) -> Option<i64> {
        self.pricing().charged_hours(self.arrived_at?, self.left_at.unwrap_or(now))
    }

    /// What a running session would cost if it ended now.
    #[must_use]
    pub fn cost_so_far(&self, now: DateTime<Utc>) -> Option<Money> {
        let arrived = self.arrived_at.filter(|_| self.state == State::Active)?;
        Some(self.pricing().cost(arrived, now))
    }

    /// When [`Self::cost_so_far`] changes next.
    #[must_use]
    pub fn cost_changes_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let arrived = self.arrived_at.filter(|_| self.state == State::Active)?;
        self.pricing().cost_changes_after(arrived, now)
    }
}

#[derive(FromQueryResult)]
pub(super) struct Row {
    id: i64,
    user_id: i64,
    lot_id: i64,
    spot_id: i64,
    spot_number: i64,
    state: String,
    created_at: DateTime<Utc>,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    arrived_at: Option<DateTime<Utc>>,
    left_at: Option<DateTime<Utc>>,
    hourly_rate_minor: i64,
    cost_minor: i64,
    transaction_id: Option<String>,
    payment_method: Option<String>,
    payment_state: Option<String>,
    paid_at: Option<DateTime<Utc>>,
    payment_verified_at: Option<DateTime<Utc>>,
    waive_reason: Option<String>,
    refunded_at: Option<DateTime<Utc>>,
    refund_reason: Option<String>,
    plate: Option<String>,
    house: bool,
    lot_name: String,
    lot_address: String,
    terms: Option<String>,
}

impl TryFrom<Row> for Reservation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Pricing { hourly_rate, terms } =
            Pricing::read(Money::from_minor(row.hourly_rate_minor), row.terms.as_deref())?;
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            lot_id: row.lot_id,
            lot_name: row.lot_name,
            lot_address: row.lot_address,
            spot_id: row.spot_id,
            spot_number: row.spot_number,
            state: row.state.parse()?,
            created_at: row.created_at,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            arrived_at: row.arrived_at,
            left_at: row.left_at,
            hourly_rate,
            terms,
            cost: Money::from_minor(row.cost_minor),
            payment_state: row
                .payment_state
                .map(|state| state.parse())
                .transpose()
                .map_err(anyhow::Error::msg)?,
            payment: Payment { transaction_id: row.transaction_id, method: row.payment_method },
            paid_at: row.paid_at,
            payment_verified_at: row.payment_verified_at,
            waive_reason: row.waive_reason,
            refunded_at: row.refunded_at,
            refund_reason: row.refund_reason,
            plate: row.plate,
            is_house: row.house,
        })
    }
}

/// The columns of [`Row`], from `reservations r` with [`JOINS`].
pub(super) const COLUMNS: &str =
    "r.id, r.user_id, r.lot_id, r.spot_id, s.number AS spot_number, r.state, r.created_at, r.starts_at, r.ends_at,
    r.arrived_at, r.left_at, r.hourly_rate_minor, r.cost_minor, r.transaction_id, r.payment_method, r.payment_state, r.paid_at,
    r.payment_verified_at, r.waive_reason, r.refunded_at, r.refund_reason, r.plate, r.house, l.location_name AS lot_name, l.address AS lot_address,
    t.terms";

pub(super) const JOINS: &str = "JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id
    LEFT JOIN tariff_versions t ON t.id = r.tariff_version_id";

/// Reads a reservation that this transaction has written.
pub(super) async fn read(tx: &Transaction, id: i64) -> Result<Reservation> {
    let text = format!("SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.id = $1");
    let row = Row::find_by_statement(sql(tx, &text, [id.into()])).one(tx).await?;
    row.ok_or(Error::NotFound("reservation"))?.try_into()
}

/// The constraint that keeps the windows of a spot apart.
pub(super) const NO_OVERLAP: &str = "reservations_no_overlap";

/// A reservation `r` that belongs to the caller `$2`; `$3` means any.
const OWN: &str = "(r.user_id = $2 OR $3)";

/// As [`OWN`]; if `$4`, also one at a lot that is assigned to the caller.
pub(super) const AT_LOT: &str = "(r.user_id = $2 OR $3
    OR ($4 AND EXISTS (SELECT 1 FROM attendant_lots a WHERE a.user_id = $2 AND a.lot_id = r.lot_id)))";

/// Locks a reservation that belongs to the caller, or any for an administrator.
pub(super) async fn lock(tx: &Transaction, who: &Identity, id: i64) -> Result<Reservation> {
    let values = [id.into(), who.user_id.into(), who.is_admin.into()];
    lock_if(tx, OWN, values.into()).await
}

/// As [`lock`], or one at a lot of an attendant.
pub(super) async fn lock_at_lot(tx: &Transaction, who: &Identity, id: i64) -> Result<Reservation> {
    lock_if(tx, AT_LOT, values_at_lot(who, id).into()).await
}

/// The values of a query for reservation `$1` with [`AT_LOT`].
pub(super) fn values_at_lot(who: &Identity, id: i64) -> [Value; 4] {
    [id.into(), who.user_id.into(), who.is_admin.into(), who.is_attendant.into()]
}

async fn lock_if(tx: &Transaction, condition: &str, values: Vec<Value>) -> Result<Reservation> {
    let found = find_if(tx, condition, values, row_lock(tx, "FOR UPDATE OF r")).await?;
    found.ok_or(Error::NotFound("reservation"))
}

/// As [`lock`], without a lock.
pub(super) async fn find_own(
    db: &impl ConnectionTrait,
    who: &Identity,
    id: i64,
) -> Result<Option<Reservation>> {
    find_if(db, OWN, vec![id.into(), who.user_id.into(), who.is_admin.into()], "").await
}

async fn find_if(
    db: &impl ConnectionTrait,
    condition: &str,
    values: Vec<Value>,
    lock: &str,
) -> Result<Option<Reservation>> {
    let text = format!("SELECT {COLUMNS} FROM reservations r {JOINS} WHERE r.id = $1 AND {condition} {lock}");
    let row = Row::find_by_statement(sql(db, &text, values)).one(db).await?;
    row.map(Reservation::try_from).transpose()
}

/// The state after `event`. A reservation whose driver did not come in time counts as expired, even if the sweep has
/// not reached it yet.
pub(super) fn next_state(app: &App, reservation: &Reservation, event: Event) -> Result<State> {
    let (begin, end) = (reservation.parking_time(), reservation.leaving_time());
    let is_missed = reservation.state == State::Reserved
        && state::is_missed(begin, end, app.clock.now(), app.config.parking.no_show_after);
    let state = if is_missed { State::Expired } else { reservation.state };
    let code = if state == State::Expired { "expired" } else { "wrong_state" };
    state.after(event).map_err(|why| Error::conflict(code, why))
}
