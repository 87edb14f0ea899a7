//! The mail that confirms a booking.

use std::time::Duration;

use chrono::TimeDelta;
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{booking::Booking, limit};
use crate::{
    base::{error::Result, money::Money},
    jobs::{Context, Done, Job, Queue},
    parking::{
        notifications::{
            delivery::{Letter, deliver},
            format::local_time,
        },
        rules::pricing::Pricing,
    },
};

/// Confirms a booking by mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendConfirmation {
    /// The booking.
    pub reservation_id: i64,
}

impl Job for SendConfirmation {
    const NAME: &'static str = "send-confirmation";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let booking = match Booking::find(db, self.reservation_id).await? {
            Ok(booking) => booking,
            Err(why) => return Ok(Done::skipped(why)),
        };
        let key = format!("confirmation:{}", self.reservation_id);
        let limit = config.parking.fair_use.confirmations;
        if limit::is_reached(context, booking.user_id, "confirmation", &key, limit, TimeDelta::hours(1))
            .await?
        {
            return Ok(Done::skipped("the driver has had enough confirmations in this hour"));
        }
        let given_up = booking.starts_at + config.parking.no_show_after;
        let pricing = Pricing::read(Money::from_minor(booking.hourly_rate_minor), booking.terms.as_deref())?;
        let letter = Letter {
            key,
            kind: "confirmation",
            user_id: booking.user_id,
            recipient: booking.recipient,
            values: context! {
                reservation_id => self.reservation_id,
                lot => booking.location_name,
                address => format!("{}, {}", booking.address, booking.pincode),
                spot => booking.number,
                vehicle => booking.plate,
                start => local_time(booking.starts_at, config.zone),
                end => booking.ends_at.map(|end| local_time(end, config.zone)),
                given_up => booking.ends_at.map(|end| local_time(end.min(given_up), config.zone)),
                quote => Money::from_minor(booking.cost_minor).to_string(),
                rate => pricing.hourly_rate.to_string(),
                tariff => pricing.terms.map(|terms| terms.in_words()),
            },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
