//! The drivers to remind.

use chrono::{DateTime, Utc};

use crate::{
    parking::notifications::bulk::Audience,
    platform::{config::Schedules, db::at},
};

/// Drivers who have not logged in or not booked for some time, and have no open reservation. For those who never did, the
/// time since they registered counts. The latest reservation is the one with the highest id, whatever its state.
const AWAY: &str = "(COALESCE(u.last_login_at, u.created_at) <= $1
        OR COALESCE((SELECT r.created_at FROM reservations r WHERE r.user_id = u.id ORDER BY r.id DESC LIMIT 1),
            u.created_at) <= $2)
    AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.user_id = u.id AND r.state IN ('reserved', 'active'))";

/// The drivers to remind at `now`.
pub(super) fn audience(schedules: &Schedules, now: DateTime<Utc>) -> Audience {
    let since = [schedules.login_reminder_after, schedules.booking_reminder_after];
    Audience { condition: AWAY, values: since.map(|days| at(now - days)).into() }
}
