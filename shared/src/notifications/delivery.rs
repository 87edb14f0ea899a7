//! A mail goes once: its row is claimed before, the answer is recorded after, and between the two nobody knows.

use std::time::Duration;

use anyhow::anyhow;
use minijinja::{Value, context};
use redis::AsyncCommands;
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    activity,
    app::App,
    counters,
    db::{at, sql},
    entities::email_delivery,
    error::{Error, Result},
    jobs::{Context, Done},
    mailer::{Attachment, Mail, SendError},
    metrics,
    time::rfc3339,
};

/// A mail that is to reach a user once.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Once per key, for ever: `receipt:17`.
    pub key: String,
    /// The name of its template; also what the user's activity calls it.
    pub kind: &'static str,
    /// To whom.
    pub user_id: i64,
    /// What the template shows besides `name` and `public_url`.
    pub values: Value,
    /// A file to go with it.
    pub attachment: Option<Attachment>,
    /// What to do when it may have gone already.
    pub if_unknown: IfUnknown,
}

/// What is worse for a mail of which nobody knows whether it went: a second one, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnknown {
    /// None: it is sent once more, with the same Message-ID.
    Resend,
    /// A second one: the job fails, and an operator who requeues it sends the mail.
    Hold,
}

/// How long Redis remembers what became of a mail.
const STATUS_SECONDS: u64 = 24 * 3600;

const HELD: &str = "it may have been sent already; requeue the job to send it again";

/// Sends the letter unless it has been sent.
///
/// # Errors
/// [`Error::Unavailable`] when another try may help, [`Error::Permanent`] when the mail was refused for good or
/// is held because it may have been sent.
pub async fn deliver(context: &Context, letter: Letter) -> Result<Done> {
    let app = &context.app;
    let Some(recipient) = recipient(app, letter.user_id).await? else {
        return Ok(Done::with(json!({ "skipped": "user is gone" })));
    };
    let values = context! { name => &recipient.username, public_url => &app.config.public_url, ..letter.values.clone() };
    let rendered = app.templates.render(letter.kind, values)?;
    let Some(claim) = claim(context, &letter).await? else {
        return Ok(Done::with(json!({ "state": "sent" })));
    };
    let mail = Mail {
        to_name: recipient.username,
        to_address: recipient.email,
        message_id: claim.message_id.clone(),
        date: app.clock.now(),
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        attachment: letter.attachment.clone(),
    };
    match app.mailer.send(&mail).await {
        Ok(()) => insist_on_recording(app, &letter).await,
        Err(failure) => Err(record_failure(app, &letter, &claim, failure).await?),
    }
}

#[derive(FromQueryResult)]
struct Recipient {
    username: String,
    email: String,
}

async fn recipient(app: &App, user_id: i64) -> Result<Option<Recipient>> {
    let db = app.db.read();
    let text = "SELECT username, email FROM users WHERE id = $1 AND deleted_at IS NULL";
    Ok(Recipient::find_by_statement(sql(db, text, [user_id.into()])).one(db).await?)
}

/// The right to send, for one try.
#[derive(Debug)]
struct Claim {
    message_id: String,
    /// Which try this is, over all jobs; fences off the record of an earlier one.
    attempts: i64,
    /// Whether this try may be the second mail.
    resent: bool,
}

/// Claims the letter's row. `None`: the mail has been sent.
async fn claim(context: &Context, letter: &Letter) -> Result<Option<Claim>> {
    let (app, now) = (&context.app, at(context.app.clock.now()));
    let message_id = message_id(context, &letter.key);
    let inserted = app
        .db
        .write()
        .execute_raw(sql(
            app.db.write(),
            "INSERT INTO email_deliveries (key, kind, user_id, job_id, message_id, state, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'sending', $6, $6) ON CONFLICT (key) DO NOTHING",
            [
                letter.key.clone().into(),
                letter.kind.into(),
                letter.user_id.into(),
                context.id.into(),
                message_id.clone().into(),
                now,
            ],
        ))
        .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Some(Claim { message_id, attempts: 1, resent: false }));
    }
    let row = email_delivery::Entity::find_by_id(letter.key.clone()).one(app.db.read()).await?;
    let row = row.ok_or_else(|| Error::Unavailable(anyhow!("the row of the mail is being changed")))?;
    match next(&row, context, letter.if_unknown) {
        Next::Nothing => Ok(None),
        Next::Send { resent } => claim_again(context, &row, resent).await.map(Some),
        Next::Hold => {
            set(app, &row.key, row.attempts, "ambiguous", HELD).await?;
            Err(Error::Permanent(HELD.into()))
        }
    }
}

async fn claim_again(context: &Context, row: &email_delivery::Model, resent: bool) -> Result<Claim> {
    let db = context.app.db.write();
    let claimed = db
        .execute_raw(sql(
            db,
            "UPDATE email_deliveries
             SET state = 'sending', attempts = attempts + 1, resent = $4, job_id = $5, error = NULL, updated_at = $6
             WHERE key = $1 AND state = $2 AND attempts = $3",
            [
                row.key.clone().into(),
                row.state.clone().into(),
                row.attempts.into(),
                resent.into(),
                context.id.into(),
                at(context.app.clock.now()),
            ],
        ))
        .await?;
    if claimed.rows_affected() == 0 {
        return Err(Error::Unavailable(anyhow!("another run has just claimed the mail")));
    }
    Ok(Claim { message_id: row.message_id.clone(), attempts: row.attempts + 1, resent })
}

/// What to do about a mail that an earlier run has claimed.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Send { resent: bool },
    Hold,
}

/// `sending` here means that the run which claimed it died before it could record an answer.
fn next(row: &email_delivery::Model, context: &Context, if_unknown: IfUnknown) -> Next {
    // Tries are counted from 1 again only when somebody has requeued the job, knowing what it said.
    let requeued = context.attempt == 1 && row.job_id == Some(context.id);
    match row.state.as_str() {
        "sent" => Next::Nothing,
        "refused" => Next::Send { resent: row.resent },
        "ambiguous" if requeued => Next::Send { resent: true },
        _ if if_unknown == IfUnknown::Resend && !row.resent => Next::Send { resent: true },
        _ => Next::Hold,
    }
}

/// The same in every try of the job, and another once ids begin again in an emptied database. The row keeps it.
fn message_id(context: &Context, key: &str) -> String {
    let config = &context.app.config;
    let hash = Sha256::digest(format!("{} {key} {}", config.redis_prefix, context.id));
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let sender = config.mail.sender.parse::<lettre::message::Mailbox>();
    format!("{hex}@{}", sender.as_ref().map_or("localhost", |sender| sender.email.domain()))
}

/// Records the server's yes, trying again for some seconds: without the record, the mail might go twice.
async fn insist_on_recording(app: &App, letter: &Letter) -> Result<Done> {
    for pause in [50, 200, 800, 2_000].map(Duration::from_millis) {
        match record_sent(app, letter).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(error = error.chain(), "a sent mail is not recorded yet; trying again");
            }
            recorded => return recorded,
        }
        tokio::time::sleep(pause).await;
    }
    record_sent(app, letter).await
}

/// Records the server's yes, which is true whatever another run has made of the row since.
async fn record_sent(app: &App, letter: &Letter) -> Result<Done> {
    let now = app.clock.now();
    let transaction = app.db.begin().await?;
    let recorded = transaction
        .execute_raw(sql(
            &transaction,
            "UPDATE email_deliveries SET state = 'sent', error = NULL, updated_at = $2
             WHERE key = $1 AND state <> 'sent'",
            [letter.key.clone().into(), at(now)],
        ))
        .await?;
    if recorded.rows_affected() == 1 {
        let subject = Some(letter.kind.to_owned());
        activity::record(&transaction, now, letter.user_id, activity::Kind::Notification, subject).await?;
    }
    transaction.commit().await?;
    if recorded.rows_affected() == 1 {
        counters::count(app, "emails_sent_total");
        metrics::mail("sent");
    }
    publish(app, &letter.key, "sent").await;
    Ok(Done::with(json!({ "state": "sent" })))
}

/// Records why the mail is not known to have gone, and returns what that means for the job.
async fn record_failure(app: &App, letter: &Letter, claim: &Claim, failure: SendError) -> Result<Error> {
    let (text, again) = (failure.to_string(), letter.if_unknown == IfUnknown::Resend && !claim.resent);
    let (state, outcome, error) = match failure {
        SendError::Permanent(_) => ("refused", "refused", Error::Permanent(text.clone())),
        SendError::Temporary(_) | SendError::NotSent(_) => {
            ("refused", "deferred", Error::Unavailable(anyhow!(text.clone())))
        }
        SendError::Unknown(_) if again => ("ambiguous", "unknown", Error::Unavailable(anyhow!(text.clone()))),
        SendError::Unknown(_) => ("ambiguous", "unknown", Error::Permanent(format!("{text}; {HELD}"))),
    };
    metrics::mail(outcome);
    set(app, &letter.key, claim.attempts, state, &text).await?;
    Ok(error)
}

/// Sets the state of a mail, unless it was sent or another try has begun. Nothing is awaited after the row says
/// so: a run that a shutdown gives back there would look like one that an operator has requeued.
async fn set(app: &App, key: &str, attempts: i64, state: &'static str, error: &str) -> Result<()> {
    publish(app, key, state).await;
    let db = app.db.write();
    db.execute_raw(sql(
        db,
        "UPDATE email_deliveries SET state = $3, error = $4, updated_at = $5
         WHERE key = $1 AND attempts = $2 AND state <> 'sent'",
        [key.into(), attempts.into(), state.into(), error.into(), at(app.clock.now())],
    ))
    .await?;
    Ok(())
}

/// Tells those who look into Redis. They do without when it is away.
async fn publish(app: &App, key: &str, state: &str) {
    let value = json!({ "state": state, "at": rfc3339(app.clock.now()) }).to_string();
    let mut redis = app.redis.notifications.clone();
    let told: redis::RedisResult<()> = redis.set_ex(app.redis.keys().mail(key), value, STATUS_SECONDS).await;
    if let Err(error) = told {
        tracing::debug!(%error, mail.key = key, "the state of a mail was not published");
    }
}
