//! The reminder to one driver.

use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::{audience::audience, figures::Figures};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, Queue},
    parking::{
        lots::Lot,
        notifications::{
            delivery::{Letter, deliver, dropped},
            format::hours,
            subscription::Subscription,
        },
    },
    platform::config::Config,
};

/// Reminds a driver on a local day, if there is still a reason to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReminder {
    /// The driver.
    pub user_id: i64,
    /// The local day.
    pub day: NaiveDate,
}

impl Job for SendReminder {
    const NAME: &'static str = Subscription::Reminders.job_kind();
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (app, now) = (&context.app, context.app.clock.now());
        // The next day has a reminder of its own.
        if now.with_timezone(&app.config.zone).date_naive() != self.day {
            return Ok(dropped("the day of the reminder is over"));
        }
        let audience = audience(&app.config.schedules, now);
        if audience.find(app, Subscription::Reminders, self.user_id).await?.is_none() {
            return Ok(Done::skipped("the user came back, unsubscribed or was deleted"));
        }
        let letter = Letter {
            key: format!("reminder:{}:{}", self.user_id, self.day),
            kind: "reminder",
            user_id: self.user_id,
            values: values(&Figures::load(app, self.user_id).await?, &app.config),
            unsubscribe: Some(Subscription::Reminders),
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}

/// The values of the template.
pub fn values(figures: &Figures, config: &Config) -> Value {
    let lot = |lot: &Lot| {
        context! {
            name => &lot.location_name, address => format!("{}, {}", lot.address, lot.pincode),
            price => lot.price.to_string(), free => lot.available_slots,
        }
    };
    context! {
        headline => headline(figures, config.schedules.login_reminder_after),
        bookings => figures.bookings,
        hours => hours(figures.micros),
        spent => figures.spent.to_string(),
        lots => figures.lots.iter().map(lot).collect::<Vec<_>>(),
    }
}

/// The reason for the reminder: no login for a long time, or else no booking.
fn headline(figures: &Figures, long: TimeDelta) -> String {
    let days = |time: TimeDelta| match time.num_days() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if figures.away >= long {
        format!("We have not seen you for {}", days(figures.away))
    } else if figures.bookings > 0 {
        format!("Your last booking was {} ago", days(figures.idle))
    } else {
        "You have not parked with us yet".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::money::Money;

    #[test]
    fn headline_states_the_reason() {
        let (micro, day) = (TimeDelta::microseconds(1), TimeDelta::days);
        for (away, idle, bookings, expected) in [
            (day(7), day(7), 3, "We have not seen you for 7 days"),
            (day(9), day(40), 0, "We have not seen you for 9 days"),
            (day(7) - micro, day(15), 3, "Your last booking was 15 days ago"),
            (day(1), day(15), 0, "You have not parked with us yet"),
        ] {
            let figures =
                Figures { away, idle, bookings, micros: 0, spent: Money::default(), lots: Vec::new() };
            assert_eq!(headline(&figures, day(7)), expected);
        }
        let figures = Figures {
            away: day(1),
            idle: day(1),
            bookings: 0,
            micros: 0,
            spent: Money::default(),
            lots: Vec::new(),
        };
        assert_eq!(headline(&figures, day(1)), "We have not seen you for 1 day");
    }
}
