//! Enqueueing a mailing: a job for each user of its audience, and one for the summary.

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{
    audience::Audience,
    mailing::{JOBS, Mailing},
    summary::{Summarise, Tally},
};
use crate::{
    app::App,
    base::error::Result,
    jobs::{Change, Context, Done, Job, NewJob},
    platform::db::sql,
};

/// Users per transaction. SQLite has one writer, and requests need it, too.
const PAGE: usize = 500;

/// Enqueues a mail to each user of the audience who has no job yet, and the summary. Committed pages stand: another run, or
/// the next one after a crash, continues with the remaining users.
pub async fn enqueue<J: Job>(
    context: &Context,
    mailing: &Mailing,
    audience: &Audience,
    mail: impl Fn(i64) -> J,
) -> Result<Done> {
    let app = &context.app;
    let db = app.db.read();
    let row = db.query_one_raw(sql(db, "SELECT COALESCE(MAX(id), 0) AS last FROM users", [])).await?;
    let last: i64 = row.map(|row| row.try_get("", "last")).transpose()?.unwrap_or(0);
    let mut after = 0;
    loop {
        // The progress is the id of the last user, since users are visited in the order of their ids.
        context.progress.set(after, last);
        let users = next_page(app, mailing, audience, after).await?;
        let Some(end) = users.last().copied() else { break };
        enqueue_page(app, mailing, &users, &mail).await?;
        after = end;
    }
    context.progress.set(last, last);
    let now = app.clock.now();
    let summary = Summarise { mailing: *mailing, asked_at: now, polls: 0 };
    let recipients = Tally::load(app, mailing).await?.total();
    Ok(Done::with(json!({ "asked": recipients })).then(summary.job(now)?))
}

/// The next users of the audience without a job, whatever the state of that job.
async fn next_page(app: &App, mailing: &Mailing, audience: &Audience, after: i64) -> Result<Vec<i64>> {
    let (db, n) = (app.db.read(), audience.values.len());
    let (after_, kind, period) = (n + 1, n + 2, n + 3);
    let text = format!(
        "SELECT u.id FROM users u WHERE u.id > ${after_} AND {}
           AND NOT EXISTS (SELECT 1 FROM jobs j
               WHERE {JOBS} AND j.kind = ${kind} AND j.unique_key = CAST(${period} AS TEXT) || ':' || u.id)
         ORDER BY u.id LIMIT {PAGE}",
        audience.sql(mailing.what)
    );
    let own = [after.into(), mailing.what.job_kind().into(), mailing.period().into()];
    let rows = db.query_all_raw(sql(db, &text, audience.values.iter().cloned().chain(own))).await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
}

async fn enqueue_page<J: Job>(
    app: &App,
    mailing: &Mailing,
    users: &[i64],
    mail: impl Fn(i64) -> J,
) -> Result<()> {
    let period = mailing.period();
    let mut change = Change::begin(app).await?;
    for id in users {
        let job = NewJob::of(&mail(*id))?.owner(*id).unique(format!("{period}:{id}"));
        change.enqueue(&job).await?;
    }
    change.commit().await
}
