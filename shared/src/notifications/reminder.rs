//! The mail to a driver who has not been here for a while.

use std::time::Duration;

use chrono::NaiveDate;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Subscription,
    delivery::{Letter, deliver},
    shown_hours,
};
use crate::{
    error::Result,
    jobs::{Context, Done, Job, Queue},
    reminders::{self, Figures},
};

/// Reminds a driver on a local day, if they are still away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReminder {
    /// Whom.
    pub user_id: i64,
    /// On which day.
    pub day: NaiveDate,
}

impl Job for SendReminder {
    const NAME: &'static str = "send-reminder";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (app, now) = (&context.app, context.app.clock.now());
        let skipped = |why: &str| Ok(Done::with(json!({ "skipped": why })));
        // Tomorrow has its own.
        if now.with_timezone(&app.config.zone).date_naive() != self.day {
            return skipped("its day is over");
        }
        let audience = reminders::audience(&app.config.schedules, now);
        if audience.find(app, Subscription::Reminders, self.user_id).await?.is_none() {
            return skipped("the user came back, unsubscribed or is gone");
        }
        let letter = Letter {
            key: format!("reminder:{}:{}", self.user_id, self.day),
            kind: "reminder",
            user_id: self.user_id,
            values: values(&reminders::figures(app, self.user_id).await?, &app.config.currency),
            unsubscribe: Some(Subscription::Reminders),
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}

/// What the template shows.
pub(crate) fn values(figures: &Figures, currency: &str) -> Value {
    let lot = |lot: &crate::lots::Lot| {
        context! {
            name => &lot.location_name, address => format!("{}, {}", lot.address, lot.pincode),
            price => lot.price.to_string(), free => lot.available_slots,
        }
    };
    context! {
        days => figures.away.num_days(),
        bookings => figures.bookings,
        hours => shown_hours(figures.micros),
        spent => figures.spent.to_string(),
        currency => currency,
        lots => figures.lots.iter().map(lot).collect::<Vec<_>>(),
    }
}
