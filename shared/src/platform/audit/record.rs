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
    /// A user logged in.
    LoggedIn,
    /// A login was refused.
    LoginRefused,
    /// A user set a new password with a link from a mail.
    PasswordReset,
    /// A user, or an administrator for them, set a new password.
    PasswordChanged,
    /// A user got another mail address.
    AddressChanged,
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
    /// The reservations of all users were exported.
    AllExported,
    /// A user requested a copy of their own data.
    OwnDataExported,
    /// Dead jobs were queued again.
    JobsRequeued,
    /// Dead jobs were removed.
    JobsPurged,
    /// A job was cancelled by an operator.
    JobCancelled,
    /// A queue was paused.
    QueuePaused,
    /// A queue was resumed.
    QueueResumed,
    /// A schedule was run by hand.
    ScheduleRun,
    /// A schedule was paused.
    SchedulePaused,
    /// A schedule was resumed.
    ScheduleResumed,
    /// All data was deleted.
    Reset,
}

impl Action {
    /// The name that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedIn => "logged_in",
            Self::LoginRefused => "login_refused",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::AddressChanged => "address_changed",
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
            Self::AllExported => "all_exported",
            Self::OwnDataExported => "own_data_exported",
            Self::JobsRequeued => "jobs_requeued",
            Self::JobsPurged => "jobs_purged",
            Self::JobCancelled => "job_cancelled",
            Self::QueuePaused => "queue_paused",
            Self::QueueResumed => "queue_resumed",
            Self::ScheduleRun => "schedule_run",
            Self::SchedulePaused => "schedule_paused",
            Self::ScheduleResumed => "schedule_resumed",
            Self::Reset => "reset",
        }
    }
}

/// What it was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The user with this id.
    User(i64),
    /// A user who does not exist.
    UnknownUser,
    /// The lot with this id.
    Lot(i64),
    /// The reservation with this id.
    Reservation(i64),
    /// Background jobs, named in the details.
    Jobs,
    /// Everything.
    Installation,
}

impl Object {
    const fn parts(self) -> (&'static str, Option<i64>) {
        match self {
            Self::User(id) => ("user", Some(id)),
            Self::UnknownUser => ("user", None),
            Self::Lot(id) => ("lot", Some(id)),
            Self::Reservation(id) => ("reservation", Some(id)),
            Self::Jobs => ("jobs", None),
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
