//! The mail that a booking is made.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::context;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    delivery::{Letter, deliver},
    shown,
};
use crate::{
    base::{
        error::{Error, Result},
        money::Money,
    },
    jobs::{Context, Done, Job, Queue},
    platform::db::sql,
};

/// Confirms a booking to its user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendConfirmation {
    /// Which booking.
    pub reservation_id: i64,
}

/// What a confirmation says.
#[derive(FromQueryResult)]
pub(super) struct Booking {
    pub(super) user_id: i64,
    state: String,
    pub(super) starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    cost_minor: i64,
    hourly_rate_minor: i64,
    pub(super) location_name: String,
    address: String,
    pincode: String,
    pub(super) number: i64,
}

impl Booking {
    /// The booking, or why nobody is told of it any more.
    pub(super) async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Result<Self, String>> {
        let booking = Self::find_by_statement(sql(db, BOOKING, [id.into()])).one(db).await?;
        let booking = booking.ok_or(Error::NotFound("reservation"))?;
        Ok(if ["cancelled", "expired"].contains(&booking.state.as_str()) {
            Err(format!("the booking is {}", booking.state))
        } else {
            Ok(booking)
        })
    }
}

const BOOKING: &str = "SELECT r.user_id, r.state, r.starts_at, r.ends_at, r.cost_minor, r.hourly_rate_minor,
        l.location_name, l.address, l.pincode, s.number
    FROM reservations r JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id
    WHERE r.id = $1";

impl Job for SendConfirmation {
    const NAME: &'static str = "send-confirmation";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let booking = match Booking::find(db, self.reservation_id).await? {
            Ok(booking) => booking,
            Err(why) => return Ok(Done::with(json!({ "skipped": why }))),
        };
        let given_up = booking.starts_at + config.no_show_after;
        let letter = Letter {
            key: format!("confirmation:{}", self.reservation_id),
            kind: "confirmation",
            user_id: booking.user_id,
            values: context! {
                reservation_id => self.reservation_id,
                lot => booking.location_name,
                address => format!("{}, {}", booking.address, booking.pincode),
                spot => booking.number,
                start => shown(booking.starts_at, config.zone),
                end => booking.ends_at.map(|end| shown(end, config.zone)),
                given_up => booking.ends_at.map(|end| shown(end.min(given_up), config.zone)),
                quote => Money::from_minor(booking.cost_minor).to_string(),
                currency => &config.currency,
                rate => Money::from_minor(booking.hourly_rate_minor).to_string(),
            },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
