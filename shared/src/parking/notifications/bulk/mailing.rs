//! What a mailing is about, and the keys and title that follow from that.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{base::time::rfc3339, parking::notifications::subscription::Subscription};

/// Mails of one kind about one day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailing {
    /// The kind of mails.
    pub what: Subscription,
    /// The local day, or the first day of the month.
    pub about: NaiveDate,
    /// When the run was due, which distinguishes runs about the same day.
    pub due: DateTime<Utc>,
}

/// The jobs of all mailings, worded like the condition of the index that both databases then use.
pub(super) const JOBS: &str = "j.kind IN ('send-reminder', 'send-monthly-report')";

impl Mailing {
    /// The day or month in keys of jobs and mails: `2026-11-24` or `2026-10`.
    #[must_use]
    pub fn period(&self) -> String {
        let format = if self.what == Subscription::Reminders { "%Y-%m-%d" } else { "%Y-%m" };
        self.about.format(format).to_string()
    }

    /// The key of the run.
    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.what.name(), rfc3339(self.due))
    }

    /// The title of the summary.
    pub(super) fn title(&self) -> String {
        match self.what {
            Subscription::Reminders => self.about.format("Reminders for %-d %B %Y").to_string(),
            Subscription::Reports => self.about.format("Monthly reports for %B %Y").to_string(),
        }
    }
}
