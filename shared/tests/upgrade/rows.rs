//! Rows of `reservations` as 0.2.0 wrote and read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sea_orm::FromQueryResult;

/// When the upgrade happens.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// The time so many minutes from the upgrade, negative ones before it.
pub(crate) fn minutes(minutes: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(minutes)
}

/// A reservation without the columns of later releases.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Stay {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) lot_id: i64,
    pub(crate) spot_id: i64,
    pub(crate) state: String,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) ends_at: Option<DateTime<Utc>>,
    pub(crate) arrived_at: Option<DateTime<Utc>>,
    pub(crate) left_at: Option<DateTime<Utc>>,
    pub(crate) hourly_rate_minor: i64,
    pub(crate) cost_minor: i64,
    pub(crate) transaction_id: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
}

/// Where somebody parks: the ids of lot and spot, and the price in hundredths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) lot: i64,
    pub(crate) spot: i64,
    pub(crate) price: i64,
}

/// Transaction and method, as the driver typed them.
pub(crate) type Payment = (Option<&'static str>, Option<&'static str>);

impl Stay {
    /// A reservation for a window in minutes from the upgrade, with its quote.
    pub(crate) fn window(user: i64, at: Place, from: i64, to: i64) -> Self {
        Self {
            ends_at: Some(minutes(to)),
            arrived_at: None,
            state: "reserved".to_owned(),
            cost_minor: ((to - from) * at.price + 30) / 60,
            created_at: minutes(from - 600),
            ..Self::walk_in(user, at, from)
        }
    }

    /// A stay that began at this minute and goes on.
    pub(crate) fn walk_in(user: i64, at: Place, from: i64) -> Self {
        Self {
            id: 0,
            user_id: user,
            lot_id: at.lot,
            spot_id: at.spot,
            state: "active".to_owned(),
            starts_at: minutes(from),
            ends_at: None,
            arrived_at: Some(minutes(from)),
            left_at: None,
            hourly_rate_minor: at.price,
            cost_minor: 0,
            transaction_id: None,
            payment_method: None,
            created_at: minutes(from),
        }
    }

    pub(crate) fn in_state(self, state: &str) -> Self {
        Self { state: state.to_owned(), ..self }
    }

    /// The driver has arrived so many minutes after the start.
    pub(crate) fn arrived(self, late: i64) -> Self {
        let arrived_at = Some(self.starts_at + TimeDelta::minutes(late));
        Self { arrived_at, cost_minor: 0, ..self.in_state("active") }
    }

    /// The driver has left after so many minutes.
    pub(crate) fn left(self, stayed: i64, (transaction, method): (Option<String>, Option<&str>)) -> Self {
        let hours = ((stayed + 59) / 60).max(1);
        Self {
            left_at: self.arrived_at.map(|arrived| arrived + TimeDelta::minutes(stayed)),
            cost_minor: hours * self.hourly_rate_minor,
            transaction_id: transaction,
            payment_method: method.map(str::to_owned),
            ..self.in_state("completed")
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state.as_str(), "reserved" | "active")
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state == "completed"
    }

    /// Whether reports count it.
    pub(crate) fn counts(&self) -> bool {
        self.is_live() || self.has_ended()
    }

    /// When parking began or will begin.
    pub(crate) fn parking_time(&self) -> DateTime<Utc> {
        self.arrived_at.unwrap_or(self.starts_at)
    }

    /// The values of [`COLUMNS`].
    pub(crate) fn values(&self) -> String {
        let Self { user_id, lot_id, spot_id, state, hourly_rate_minor, cost_minor, .. } = self;
        let [starts, ends, arrived, left, created] =
            [Some(self.starts_at), self.ends_at, self.arrived_at, self.left_at, Some(self.created_at)]
                .map(instant);
        let [transaction, method] =
            [&self.transaction_id, &self.payment_method].map(|one| text(one.as_deref()));
        format!(
            "({user_id}, {lot_id}, {spot_id}, '{state}', {starts}, {ends}, {arrived}, {left}, {hourly_rate_minor}, \
             {cost_minor}, {transaction}, {method}, {created})"
        )
    }
}

pub(crate) const COLUMNS: &str = "user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at, \
    hourly_rate_minor, cost_minor, transaction_id, payment_method, created_at";

/// An instant as both databases read it, with which SQLite's texts sort.
pub(crate) fn instant(instant: Option<DateTime<Utc>>) -> String {
    text(instant.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, false)).as_deref())
}

pub(crate) fn text(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}
