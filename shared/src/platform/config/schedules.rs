//! When scheduled jobs run, and what they act on.

use chrono::{NaiveTime, TimeDelta};

use super::{parse, sources::Sources};

/// Times of scheduled jobs, in local time of `APP_TIMEZONE`.
#[derive(Debug, Clone, Copy)]
pub struct Schedules {
    /// `DAILY_REMINDER_TIME`.
    pub reminder_time: NaiveTime,
    /// `REMINDER_LOGIN_DAYS`: drivers who have not logged in for this long are reminded.
    pub login_reminder_after: TimeDelta,
    /// `REMINDER_BOOKING_DAYS`: drivers who have not booked for this long are reminded.
    pub booking_reminder_after: TimeDelta,
    /// `MONTHLY_REPORT_DAY`, 1 to 28: every month has it.
    pub report_day: u8,
    /// `MONTHLY_REPORT_TIME`.
    pub report_time: NaiveTime,
    /// `CLEANUP_TIME`.
    pub cleanup_time: NaiveTime,
    /// `JOB_RETENTION_DAYS`: how long finished jobs and their results are kept.
    pub retention: TimeDelta,
}

impl Schedules {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let mut days = |name| from.number(name, 1..=3650).map(TimeDelta::days);
        Some(Self {
            login_reminder_after: days("REMINDER_LOGIN_DAYS")?,
            booking_reminder_after: days("REMINDER_BOOKING_DAYS")?,
            retention: days("JOB_RETENTION_DAYS")?,
            reminder_time: from.parse("DAILY_REMINDER_TIME", parse::time_of_day)?,
            report_day: from.number("MONTHLY_REPORT_DAY", 1..=28)?,
            report_time: from.parse("MONTHLY_REPORT_TIME", parse::time_of_day)?,
            cleanup_time: from.parse("CLEANUP_TIME", parse::time_of_day)?,
        })
    }
}
