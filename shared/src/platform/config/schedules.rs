//! When jobs run by themselves, whom they reach, and how long they are remembered.

use chrono::{NaiveTime, TimeDelta};

use super::Sources;

/// What happens by itself, in local time of `APP_TIMEZONE`.
#[derive(Debug, Clone, Copy)]
pub struct Schedules {
    /// `DAILY_REMINDER_TIME`.
    pub reminder_time: NaiveTime,
    /// `REMINDER_LOGIN_DAYS`: who has not logged in for so long is reminded.
    pub login_reminder_after: TimeDelta,
    /// `REMINDER_BOOKING_DAYS`: who has not booked for so long is reminded.
    pub booking_reminder_after: TimeDelta,
    /// `MONTHLY_REPORT_DAY`, 1 to 28: every month has it.
    pub report_day: u8,
    /// `MONTHLY_REPORT_TIME`.
    pub report_time: NaiveTime,
    /// `CLEANUP_TIME`.
    pub cleanup_time: NaiveTime,
    /// `JOB_RETENTION_DAYS`: how long ended jobs, and what they leave behind, are kept.
    pub retention: TimeDelta,
}

impl Schedules {
    pub(super) fn read(from: &mut Sources) -> Option<Self> {
        let [reminder_time, report_time, cleanup_time] =
            ["DAILY_REMINDER_TIME", "MONTHLY_REPORT_TIME", "CLEANUP_TIME"]
                .map(|name| from.parse(name, time_of_day));
        let [without_login, without_booking, retention] =
            ["REMINDER_LOGIN_DAYS", "REMINDER_BOOKING_DAYS", "JOB_RETENTION_DAYS"]
                .map(|name| from.number(name, 1..=3650).map(TimeDelta::days));
        let report_day = from.number("MONTHLY_REPORT_DAY", 1..=28);
        Some(Self {
            reminder_time: reminder_time?,
            login_reminder_after: without_login?,
            booking_reminder_after: without_booking?,
            report_day: report_day?,
            report_time: report_time?,
            cleanup_time: cleanup_time?,
            retention: retention?,
        })
    }
}

fn time_of_day(text: &str) -> Result<NaiveTime, &'static str> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| "must be a time of day such as 18:00")
}
