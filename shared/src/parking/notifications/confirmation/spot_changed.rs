//! The mail that a reservation has been moved to another spot.

use std::time::Duration;

use minijinja::context;
use serde::{Deserialize, Serialize};

use super::booking::Booking;
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::notifications::{
        delivery::{Letter, deliver, dropped},
        format::local_time,
    },
};

/// Tells a driver that a reservation has been moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendSpotChanged {
    /// The reservation.
    pub reservation_id: i64,
    /// Its new spot. If it has been moved again since, this mail is skipped.
    pub spot_id: i64,
}

/// The job that tells a driver that a reservation has been moved.
///
/// # Errors
/// As [`NewJob::of`].
pub fn spot_changed(reservation_id: i64, user_id: i64, spot_id: i64) -> Result<NewJob> {
    let job = NewJob::of(&SendSpotChanged { reservation_id, spot_id })?;
    Ok(job.owner(user_id).unique(format!("{reservation_id}:{spot_id}")))
}

impl Job for SendSpotChanged {
    const NAME: &'static str = "send-spot-changed";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let (db, config) = (context.app.db.read(), &context.app.config);
        let booking = match Booking::find(db, self.reservation_id).await? {
            Ok(booking) if booking.is_over() => return Ok(dropped("the stay is over")),
            Ok(booking) if booking.spot_id == self.spot_id => booking,
            Ok(_) => return Ok(Done::skipped("the booking has been moved again")),
            Err(why) => return Ok(Done::skipped(why)),
        };
        let letter = Letter {
            // A reservation may return to a spot, so the job is part of the key.
            key: format!("spot-changed:{}:{}", self.reservation_id, context.id),
            kind: "spot_changed",
            user_id: booking.user_id,
            values: context! {
                reservation_id => self.reservation_id,
                lot => booking.location_name,
                address => format!("{}, {}", booking.address, booking.pincode),
                spot => booking.number,
                start => local_time(booking.starts_at, config.zone),
                end => booking.ends_at.map(|end| local_time(end, config.zone)),
            },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
