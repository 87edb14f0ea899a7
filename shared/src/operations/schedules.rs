//! The schedules, one line each: jobs that run at local times. Periodic maintenance is in `worker/src/upkeep.rs`, checks for
//! alerts are in `worker/src/alerts.rs`.

use chrono::{NaiveTime, Timelike};

use super::cleanup::CleanUp;
use crate::{
    base::error::{Error, Result},
    jobs::{
        NewJob,
        schedule::{Schedule, Timetable},
    },
    parking::notifications::{SendMonthlyReports, SendReminders},
    platform::config::Config,
};

/// Reminders, every day.
pub const DAILY_REMINDERS: &str = "daily-reminders";
/// Reports, every month.
pub const MONTHLY_REPORTS: &str = "monthly-reports";
/// The clean-up, every day.
pub const FILE_CLEANUP: &str = "file-cleanup";

/// Every schedule, as the settings say.
///
/// # Errors
/// [`Error::Internal`] when a timetable cannot be read, which the settings do not allow.
pub fn all(config: &Config) -> Result<[Schedule; 3]> {
    let when = &config.schedules;
    let timetable = |time: NaiveTime, day: &str| {
        let expression = format!("{} {} {day} * *", time.minute(), time.hour());
        Timetable::new(&expression, config.zone).map_err(|e| anyhow::Error::new(e).context(expression))
    };
    Ok([
        Schedule {
            name: DAILY_REMINDERS,
            timetable: timetable(when.reminder_time, "*")?,
            job: |due| NewJob::of(&SendReminders { due }),
        },
        Schedule {
            name: MONTHLY_REPORTS,
            timetable: timetable(when.report_time, &when.report_day.to_string())?,
            job: |due| NewJob::of(&SendMonthlyReports { due }),
        },
        Schedule {
            name: FILE_CLEANUP,
            timetable: timetable(when.cleanup_time, "*")?,
            job: |due| NewJob::of(&CleanUp { due }),
        },
    ])
}

/// The schedule called `name`.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn named(config: &Config, name: &str) -> Result<Schedule> {
    all(config)?.into_iter().find(|schedule| schedule.name == name).ok_or(Error::NotFound("schedule"))
}
