//! The summary of a mailing: a notice to administrators once all of its mails have ended.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mailing::{JOBS, Mailing};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Context, Done, Job, JobState, NewJob, Queue},
    parking::{
        activity,
        notifications::{
            notice::{Notice, notify_administrators},
            subscription::Subscription,
        },
        reports::calendar,
    },
    platform::db::sql,
};

/// How long the summary waits for the last mail; after that it says how many are still waiting.
const TIMEOUT: TimeDelta = TimeDelta::hours(6);
/// Longest interval between two polls.
const MAX_INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Notifies administrators of the outcome of a mailing. Polls until all of its mails have ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summarise {
    /// The mailing.
    pub mailing: Mailing,
    /// When its last mail was enqueued.
    pub asked_at: DateTime<Utc>,
    /// How many polls found mails that had not ended.
    #[serde(rename = "looks")]
    pub polls: u32,
}

impl Job for Summarise {
    const NAME: &'static str = "summarise-mailing";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> Result<Done> {
        let (app, now) = (&context.app, context.app.clock.now());
        let tally = Tally::load(app, &self.mailing).await?;
        let waiting = tally.waiting();
        if waiting > 0 && now < self.asked_at + TIMEOUT {
            let interval = TimeDelta::seconds(1 << self.polls.min(10)).min(MAX_INTERVAL);
            let next = Self { polls: self.polls + 1, ..self.clone() };
            return Ok(Done::with(json!({ "waiting": waiting })).then(next.job(now + interval)?));
        }
        let mut facts = tally.facts();
        if self.mailing.what == Subscription::Reminders {
            facts.extend(activity_of_the_day(app, self.mailing.due).await?);
        }
        let notice = Notice { key: self.mailing.key(), title: self.mailing.title(), facts };
        let jobs = notify_administrators(&app.config, app.db.read(), &notice).await?;
        Ok(Done { result: json!(notice.facts), then: jobs })
    }
}

impl Summarise {
    pub(super) fn job(&self, run_at: DateTime<Utc>) -> Result<NewJob> {
        Ok(NewJob::of(self)?.unique(self.mailing.key()).run_at(run_at))
    }
}

/// The jobs of a mailing, counted by state and result.
pub(super) struct Tally(Vec<Outcome>);

#[derive(Debug, FromQueryResult)]
struct Outcome {
    state: JobState,
    result: Option<String>,
    n: i64,
}

impl Outcome {
    fn is_skipped(&self) -> bool {
        self.result.as_deref().is_some_and(|result| result.contains("\"skipped\""))
    }
}

impl Tally {
    pub(super) async fn load(app: &App, mailing: &Mailing) -> Result<Self> {
        let db = app.db.read();
        // All keys that begin with the period and a colon: `;` is the character after the colon.
        let (from, to) = (format!("{}:", mailing.period()), format!("{};", mailing.period()));
        let text = format!(
            "SELECT j.state, j.result, COUNT(*) AS n FROM jobs j
             WHERE {JOBS} AND j.kind = $1 AND j.unique_key >= $2 AND j.unique_key < $3
             GROUP BY j.state, j.result"
        );
        let values = [mailing.what.job_kind().into(), from.into(), to.into()];
        Ok(Self(Outcome::find_by_statement(sql(db, &text, values)).all(db).await?))
    }

    fn sum(&self, which: impl Fn(&Outcome) -> bool) -> i64 {
        self.0.iter().filter(|outcome| which(outcome)).map(|outcome| outcome.n).sum()
    }

    pub(super) fn total(&self) -> i64 {
        self.sum(|_| true)
    }

    fn waiting(&self) -> i64 {
        self.sum(|outcome| !outcome.state.is_final())
    }

    /// The counts; exceptional ones only if they are not zero.
    fn facts(&self) -> Vec<(String, String)> {
        let ended = |state: JobState| self.sum(|outcome| outcome.state == state && !outcome.is_skipped());
        let counts = [
            ("Recipients", self.total(), true),
            ("Sent", ended(JobState::Succeeded), true),
            ("Skipped", self.sum(Outcome::is_skipped), true),
            ("Failed", ended(JobState::Failed), true),
            ("Cancelled", ended(JobState::Cancelled), false),
            ("Still waiting", self.waiting(), false),
        ];
        let shown = counts.into_iter().filter(|(_, n, always)| *always || *n > 0);
        shown.map(|(label, n, _)| (label.to_owned(), n.to_string())).collect()
    }
}

/// What users did on the local day of an instant, so far.
async fn activity_of_the_day(app: &App, instant: DateTime<Utc>) -> Result<Vec<(String, String)>> {
    let Some(day) = calendar::days(instant, app.config.zone, 1).pop() else { return Ok(Vec::new()) };
    let counts = activity::count(app.db.read(), day.begins, day.ends).await?;
    let names = [("Logins", "login"), ("Bookings", "booking"), ("Departures", "release")];
    let n = |kind| counts.iter().find(|(counted, _)| counted == kind).map_or(0, |(_, n)| *n);
    Ok(names.map(|(label, kind)| (format!("{label} that day"), n(kind).to_string())).into())
}
