//! Everything that runs on a schedule.

use chrono::{NaiveTime, Timelike};

use crate::{
    base::error::{Error, Result},
    jobs::{NewJob, schedule::Schedule, timetable::Timetable},
    operations::cleanup::CleanUp,
    parking::notifications::{SendMonthlyReports, SendReminders},
    platform::config::Config,
};

/// Daily: reminds drivers who have been away.
pub const DAILY_REMINDERS: &str = "daily-reminders";
/// Monthly: sends every driver a report.
pub const MONTHLY_REPORTS: &str = "monthly-reports";
/// Daily: removes expired data.
pub const FILE_CLEANUP: &str = "file-cleanup";

/// All schedules with their configured times.
///
/// # Errors
/// [`Error::Internal`] for an invalid timetable, which the settings rule out.
pub fn all(config: &Config) -> Result<[Schedule; 3]> {
    let settings = &config.schedules;
    let timetable = |time: NaiveTime, day: &str| {
        let expression = format!("{} {} {day} * *", time.minute(), time.hour());
        Timetable::new(&expression, config.zone).map_err(|e| anyhow::Error::new(e).context(expression))
    };
    Ok([
        Schedule {
            name: DAILY_REMINDERS,
            timetable: timetable(settings.reminder_time, "*")?,
            job: |due| NewJob::of(&SendReminders { due }),
        },
        Schedule {
            name: MONTHLY_REPORTS,
            timetable: timetable(settings.report_time, &settings.report_day.to_string())?,
            job: |due| NewJob::of(&SendMonthlyReports { due }),
        },
        Schedule {
            name: FILE_CLEANUP,
            timetable: timetable(settings.cleanup_time, "*")?,
            job: |due| NewJob::of(&CleanUp { due }),
        },
    ])
}

/// The schedule called `name`.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub fn named(config: &Config, name: &str) -> Result<Schedule> {
    all(config)?.into_iter().find(|schedule| schedule.name == name).ok_or(Error::NotFound("schedule"))
}
