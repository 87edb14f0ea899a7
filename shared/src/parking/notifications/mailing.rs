//! A mail to each of many users: asked for page by page, and summed up for administrators when the last has ended.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Notice, SendMonthlyReport, SendReminder, Subscription, tell_administrators};
use crate::{
    app::App,
    base::{error::Result, time::rfc3339},
    jobs::{Context, Done, Job, NewJob, Queue, ledger, queue},
    parking::{activity, reports::calendar},
    platform::db::sql,
};

/// Users a transaction: SQLite has one writer, and others want it, too.
const PAGE: usize = 500;

/// So long after the last mail was asked for, the summary says what still waits.
const PATIENCE: TimeDelta = TimeDelta::hours(6);
/// The longest pause between two looks at what has ended.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// The mails of one kind about one day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailing {
    /// Which mails, and what ends them.
    pub what: Subscription,
    /// The local day, or the first day of the month.
    pub about: NaiveDate,
    /// When the run was due, which tells two runs on one day apart.
    pub due: DateTime<Utc>,
}

/// Of all drivers who have not unsubscribed, those of whom this is true of `u`, a row of `users`.
#[derive(Debug, Clone)]
pub struct Audience {
    /// SQL with placeholders from `$1` on.
    pub condition: &'static str,
    /// Their values.
    pub values: Vec<Value>,
}

impl Audience {
    /// The whole condition, for mails of a kind.
    fn among(&self, what: Subscription) -> String {
        let off = what.column();
        format!("u.role = 'user' AND u.deleted_at IS NULL AND NOT u.{off} AND {}", self.condition)
    }

    /// What a user is called who is one of them at the moment.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn find(&self, app: &App, what: Subscription, user_id: i64) -> Result<Option<String>> {
        let (db, place) = (app.db.read(), self.values.len() + 1);
        let text = format!("SELECT u.username FROM users u WHERE {} AND u.id = ${place}", self.among(what));
        let values = self.values.iter().cloned().chain([user_id.into()]);
        let row = db.query_one_raw(sql(db, &text, values)).await?;
        Ok(row.map(|row| row.try_get("", "username")).transpose()?)
    }
}

impl Mailing {
    /// As in the keys of jobs and mails: `2026-11-24` or `2026-10`.
    #[must_use]
    pub fn period(&self) -> String {
        let format = if self.what == Subscription::Reminders { "%Y-%m-%d" } else { "%Y-%m" };
        self.about.format(format).to_string()
    }

    fn title(&self) -> String {
        match self.what {
            Subscription::Reminders => self.about.format("Reminders of %-d %B %Y").to_string(),
            Subscription::Reports => self.about.format("Reports on %B %Y").to_string(),
        }
    }

    /// The kind of its mail jobs.
    const fn kind(&self) -> &'static str {
        match self.what {
            Subscription::Reminders => SendReminder::NAME,
            Subscription::Reports => SendMonthlyReport::NAME,
        }
    }

    /// Asks for a mail to each user of the audience who has not been asked for, and for the summary. What is committed
    /// stands: another run, or the next after a crash, goes on with those who are left.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ask<J: Job>(
        &self,
        context: &Context,
        audience: &Audience,
        mail: impl Fn(i64) -> J,
    ) -> Result<Done> {
        let app = &context.app;
        let db = app.db.read();
        let row = db.query_one_raw(sql(db, "SELECT COALESCE(MAX(id), 0) AS last FROM users", [])).await?;
        let last: i64 = row.map(|row| row.try_get("", "last")).transpose()?.unwrap_or(0);
        let mut after = 0;
        loop {
            // Ids of users, walked through in their order.
            context.progress.set(after, last);
            let users = self.page(app, audience, after).await?;
            let Some(end) = users.last().copied() else { break };
            self.enqueue(app, &users, &mail).await?;
            after = end;
        }
        context.progress.set(last, last);
        let now = app.clock.now();
        let summary = Summarise { mailing: *self, asked_at: now, looks: 0 };
        let asked: i64 = self.tally(app).await?.iter().map(|outcome| outcome.n).sum();
        Ok(Done::with(json!({ "asked": asked })).then(summary.job(now)?))
    }

    /// The next users of the audience that no job is about yet, whatever has become of it.
    async fn page(&self, app: &App, audience: &Audience, after: i64) -> Result<Vec<i64>> {
        let (db, n) = (app.db.read(), audience.values.len());
        let (after_, kind, period) = (n + 1, n + 2, n + 3);
        let text = format!(
            "SELECT u.id FROM users u WHERE u.id > ${after_} AND {}
               AND NOT EXISTS (SELECT 1 FROM jobs j
                   WHERE {OF_MAILINGS} AND j.kind = ${kind} AND j.unique_key = CAST(${period} AS TEXT) || ':' || u.id)
             ORDER BY u.id LIMIT {PAGE}",
            audience.among(self.what)
        );
        let own = [after.into(), self.kind().into(), self.period().into()];
        let rows = db.query_all_raw(sql(db, &text, audience.values.iter().cloned().chain(own))).await?;
        rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
    }

    async fn enqueue<J: Job>(&self, app: &App, users: &[i64], mail: impl Fn(i64) -> J) -> Result<()> {
        let (now, period) = (app.clock.now(), self.period());
        let tx = app.db.begin().await?;
        let mut jobs = Vec::with_capacity(users.len());
        for id in users {
            let job = NewJob::of(&mail(*id))?.owner(*id).unique(format!("{period}:{id}"));
            jobs.push(ledger::insert(&tx, now, &job).await?);
        }
        tx.commit().await?;
        queue::announce_soon(app, jobs);
        Ok(())
    }

    /// What has become of the mail jobs so far.
    async fn tally(&self, app: &App) -> Result<Vec<Outcome>> {
        let db = app.db.read();
        // Between the colon after the period and the character after a colon.
        let (from, to) = (format!("{}:", self.period()), format!("{};", self.period()));
        let text = format!(
            "SELECT j.state, j.result, COUNT(*) AS n FROM jobs j
             WHERE {OF_MAILINGS} AND j.kind = $1 AND j.unique_key >= $2 AND j.unique_key < $3
             GROUP BY j.state, j.result"
        );
        let values = [self.kind().into(), from.into(), to.into()];
        Ok(Outcome::find_by_statement(sql(db, &text, values)).all(db).await?)
    }
}

/// Said as in the index, by which both databases find these jobs.
const OF_MAILINGS: &str = "j.kind IN ('send-reminder', 'send-monthly-report')";

#[derive(Debug, FromQueryResult)]
struct Outcome {
    state: String,
    result: Option<String>,
    n: i64,
}

/// Tells administrators what became of the mails, once all have ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summarise {
    /// Which mails.
    pub mailing: Mailing,
    /// When the last was asked for.
    pub asked_at: DateTime<Utc>,
    /// How often it was too early.
    pub looks: u32,
}

impl Job for Summarise {
    const NAME: &'static str = "summarise-mailing";
    const QUEUE: Queue = Queue::Maintenance;

    async fn run(&self, context: &Context) -> Result<Done> {
        let (app, now) = (&context.app, context.app.clock.now());
        let tally = self.mailing.tally(app).await?;
        let waiting = sum(&tally, |outcome| matches!(outcome.state.as_str(), "queued" | "running"));
        if waiting > 0 && now < self.asked_at + PATIENCE {
            let pause = TimeDelta::seconds(1 << self.looks.min(10)).min(LONGEST_PAUSE);
            let later = Self { looks: self.looks + 1, ..self.clone() };
            return Ok(Done::with(json!({ "waiting": waiting })).then(later.job(now + pause)?));
        }
        let Mailing { what, due, .. } = self.mailing;
        let mut facts = facts(&tally, waiting);
        if what == Subscription::Reminders {
            facts.extend(activity_of_the_day(app, due).await?);
        }
        let key = format!("{}:{}", what.name(), rfc3339(due));
        let notice = Notice { key, title: self.mailing.title(), facts };
        let told = tell_administrators(&app.config, app.db.read(), &notice).await?;
        Ok(told.into_iter().fold(Done::with(json!(notice.facts)), Done::then))
    }
}

impl Summarise {
    fn job(&self, run_at: DateTime<Utc>) -> Result<NewJob> {
        let key = format!("{}:{}", self.mailing.what.name(), rfc3339(self.mailing.due));
        Ok(NewJob::of(self)?.unique(key).run_at(run_at))
    }
}

fn sum(tally: &[Outcome], which: impl Fn(&Outcome) -> bool) -> i64 {
    tally.iter().filter(|outcome| which(outcome)).map(|outcome| outcome.n).sum()
}

/// The counts, those that are usually nothing only when they are something.
fn facts(tally: &[Outcome], waiting: i64) -> Vec<(String, String)> {
    let is = |state: &'static str, skipped: bool| {
        move |outcome: &Outcome| {
            let says_so = outcome.result.as_deref().is_some_and(|result| result.contains("\"skipped\""));
            outcome.state == state && says_so == skipped
        }
    };
    let counts = [
        ("Asked for", sum(tally, |_| true), true),
        ("Sent", sum(tally, is("succeeded", false)), true),
        ("Skipped", sum(tally, is("succeeded", true)), true),
        ("Failed", sum(tally, is("failed", false)), true),
        ("Cancelled", sum(tally, is("cancelled", false)), false),
        ("Still waiting", waiting, false),
    ];
    let told = counts.into_iter().filter(|(_, n, always)| *always || *n > 0);
    told.map(|(label, n, _)| (label.to_owned(), n.to_string())).collect()
}

/// What users did on the local day of an instant, so far.
async fn activity_of_the_day(app: &App, instant: DateTime<Utc>) -> Result<Vec<(String, String)>> {
    let Some(day) = calendar::days(instant, app.config.zone, 1).pop() else { return Ok(Vec::new()) };
    let counts = activity::count(app.db.read(), day.begins, day.ends).await?;
    let names = [("Logins", "login"), ("Bookings", "booking"), ("Departures", "release")];
    let n = |kind| counts.iter().find(|(counted, _)| counted == kind).map_or(0, |(_, n)| *n);
    Ok(names.map(|(label, kind)| (format!("{label} that day"), n(kind).to_string())).into())
}
