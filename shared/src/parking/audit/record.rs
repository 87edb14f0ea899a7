//! Adding a row.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use serde_json::Value;

use super::actor::Actor;
use crate::{
    base::error::Result,
    platform::db::{at, sql},
};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An account of an administrator was created.
    AdministratorCreated,
    /// A user got another role.
    RoleChanged,
    /// An attendant got other lots.
    LotsAssigned,
    /// A user was deleted.
    UserDeleted,
    /// A second factor was turned on.
    SecondFactorOn,
    /// A second factor was turned off.
    SecondFactorOff,
    /// All sessions of a user were ended.
    SessionsEnded,
    /// A lot was opened.
    LotCreated,
    /// A lot was changed; a new price is in the details.
    LotChanged,
    /// A lot was closed.
    LotDeleted,
    /// A lot got a version of a tariff.
    TariffAdded,
    /// A lot got another list of public holidays.
    HolidaysChanged,
    /// A payment was entered for a driver.
    PaymentEntered,
    /// A declared payment was verified.
    PaymentVerified,
    /// A bill was waived.
    BillWaived,
    /// A payment was refunded.
    PaymentRefunded,
    /// All data was deleted.
    Reset,
}

impl Action {
    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AdministratorCreated => "administrator_created",
            Self::RoleChanged => "role_changed",
            Self::LotsAssigned => "lots_assigned",
            Self::UserDeleted => "user_deleted",
            Self::SecondFactorOn => "second_factor_on",
            Self::SecondFactorOff => "second_factor_off",
            Self::SessionsEnded => "sessions_ended",
            Self::LotCreated => "lot_created",
            Self::LotChanged => "lot_changed",
            Self::LotDeleted => "lot_deleted",
            Self::TariffAdded => "tariff_added",
            Self::HolidaysChanged => "holidays_changed",
            Self::PaymentEntered => "payment_entered",
            Self::PaymentVerified => "payment_verified",
            Self::BillWaived => "bill_waived",
            Self::PaymentRefunded => "payment_refunded",
            Self::Reset => "reset",
        }
    }
}

/// What it was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The user with this id.
    User(i64),
    /// The lot with this id.
    Lot(i64),
    /// The reservation with this id.
    Reservation(i64),
    /// Everything.
    Installation,
}

impl Object {
    const fn parts(self) -> (&'static str, Option<i64>) {
        match self {
            Self::User(id) => ("user", Some(id)),
            Self::Lot(id) => ("lot", Some(id)),
            Self::Reservation(id) => ("reservation", Some(id)),
            Self::Installation => ("installation", None),
        }
    }
}

/// Adds a row in the transaction of the change. `details` must hold neither secrets nor anything about people that has
/// to be erased with their account.
pub async fn record(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
    actor: &Actor,
    action: Action,
    object: Object,
    details: &Value,
) -> Result<()> {
    let (kind, id) = object.parts();
    db.execute_raw(sql(
        db,
        "INSERT INTO audit (at, actor_id, origin, action, object_kind, object_id, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            at(now),
            actor.user_id.into(),
            actor.origin.to_string().into(),
            action.as_str().into(),
            kind.into(),
            id.into(),
            details.to_string().into(),
        ],
    ))
    .await?;
    Ok(())
}
