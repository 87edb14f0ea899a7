//! A message goes once: its row is claimed before, the answer is recorded after, and between the two nobody knows.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use minijinja::{Value, context};
use redis::{AsyncCommands, RedisResult, aio::ConnectionManager};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;
use tracing::Instrument;

mod claim;

use claim::{Claim, claim};

use super::{Subscription, alert};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        time::rfc3339,
    },
    jobs::{Context, Done},
    parking::activity,
    platform::{
        config::Config,
        db::{at, sql},
        mailer::{Attachment, Inline, Mail, SendError},
        metrics,
        rate_limit::Action,
        templates::{Rendered, Templates},
    },
};

/// A mail that is to reach a user once.
#[derive(Debug, Clone, Default)]
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
    /// Pictures that it shows.
    pub inline: Vec<Inline>,
    /// What a link in it ends.
    pub unsubscribe: Option<Subscription>,
    /// What to do when it may have gone already.
    pub if_unknown: IfUnknown,
}

/// By which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// By mail.
    Mail,
    /// Into a space of Google Chat.
    Chat,
    /// To a phone.
    Sms,
}

impl Channel {
    /// As stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Chat => "chat",
            Self::Sms => "sms",
        }
    }
}

/// A message that is to go once, by whatever way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Once per key, for ever: `receipt:17`.
    pub key: String,
    /// What it is about; also what the user's activity calls it.
    pub kind: &'static str,
    /// By which way.
    pub channel: Channel,
    /// Whose activity it is.
    pub user_id: Option<i64>,
    /// What to do when it may have gone already.
    pub if_unknown: IfUnknown,
}

/// What is worse for a message of which nobody knows whether it went: a second one, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfUnknown {
    #[default]
    /// None: it is sent once more, with the same Message-ID.
    Resend,
    /// A second one: the job fails, and an operator who requeues it sends the mail.
    Hold,
}

/// How long Redis remembers what became of a mail.
const STATUS_SECONDS: u64 = 24 * 3600;

const HELD: &str = "it may have been sent already; requeue the job to send it again";

/// A mail waits for its turn where it is, because the whole lane has to; a turn that is further off is left to the ledger.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Sends the letter unless it has been sent.
///
/// # Errors
/// As [`once`]; [`Error::RateLimited`] when it is not its turn yet.
pub async fn deliver(context: &Context, letter: Letter) -> Result<Done> {
    let app = &context.app;
    let Some(recipient) = recipient(app, letter.user_id).await? else {
        return Ok(Done::with(json!({ "skipped": "user is gone" })));
    };
    let (rendered, unsubscribe) = compose(&app.templates, &app.config, &letter, &recipient.username)?;
    wait_for_turn(app).await?;
    let delivery = Delivery {
        key: letter.key,
        kind: letter.kind,
        channel: Channel::Mail,
        user_id: Some(letter.user_id),
        if_unknown: letter.if_unknown,
    };
    let send = |message_id| {
        let mail = Mail {
            to_name: recipient.username,
            to_address: recipient.email,
            message_id,
            date: app.clock.now(),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            attachment: letter.attachment,
            inline: letter.inline,
            unsubscribe,
        };
        async move { app.mailer.send(&mail).await }
    };
    once(context, &delivery, send).await
}

/// Sends a message, which is given its id, unless it has been sent.
///
/// # Errors
/// [`Error::Unavailable`] when another try may help, [`Error::Permanent`] when it was refused for good or is held because
/// it may have been sent.
pub async fn once<F: Future<Output = Result<(), SendError>>>(
    context: &Context,
    delivery: &Delivery,
    send: impl FnOnce(String) -> F,
) -> Result<Done> {
    let app = &context.app;
    let Some(claim) = claim(context, delivery).await? else {
        return Ok(Done::with(json!({ "state": "sent" })));
    };
    let span = tracing::info_span!("mail", mail.kind = delivery.kind, mail.channel = delivery.channel.name());
    match send(claim.message_id.clone()).instrument(span).await {
        Ok(()) => insist_on_recording(app, delivery).await,
        Err(SendError::Setup(why)) => {
            let error = record_failure(app, delivery, &claim, SendError::Setup(why.clone())).await?;
            if !alert::is_about(&delivery.key) {
                alert::mail_server_refuses(app, &why).await;
            }
            Err(error)
        }
        Err(failure) => Err(record_failure(app, delivery, &claim, failure).await?),
    }
}

/// Takes a mail out of the budget of all workers, `MAIL_RATE_LIMIT`.
async fn wait_for_turn(app: &App) -> Result<()> {
    let begun = Instant::now();
    loop {
        let decision = app.limits.take(Action::Mail, "all").await;
        if decision.allowed {
            return Ok(());
        }
        if begun.elapsed() + decision.retry_after > LONGEST_WAIT {
            return Err(Error::RateLimited { retry_after: decision.retry_after });
        }
        tokio::time::sleep(decision.retry_after.max(Duration::from_millis(5))).await;
    }
}

/// The letter as it is read, and where a POST ends more of its kind.
pub(super) fn compose(
    templates: &Templates,
    config: &Config,
    letter: &Letter,
    name: &str,
) -> Result<(Rendered, Option<String>)> {
    let unsubscribe_url = letter.unsubscribe.map(|what| what.link(config, letter.user_id)).transpose()?;
    let shown = context! { name, public_url => &config.public_url, unsubscribe_url => &unsubscribe_url, ..letter.values.clone() };
    Ok((templates.render(letter.kind, shown)?, unsubscribe_url))
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

/// Records the server's yes, trying again for some seconds: without the record, the mail might go twice.
async fn insist_on_recording(app: &App, delivery: &Delivery) -> Result<Done> {
    for pause in [50, 200, 800, 2_000].map(Duration::from_millis) {
        match record_sent(app, delivery).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(error = error.chain(), "a sent mail is not recorded yet; trying again");
            }
            recorded => return recorded,
        }
        tokio::time::sleep(pause).await;
    }
    record_sent(app, delivery).await
}

/// Records the server's yes, which is true whatever another run has made of the row since.
async fn record_sent(app: &App, delivery: &Delivery) -> Result<Done> {
    let now = app.clock.now();
    let transaction = app.db.begin().await?;
    let recorded = transaction
        .execute_raw(sql(
            &transaction,
            "UPDATE email_deliveries SET state = 'sent', error = NULL, updated_at = $2
             WHERE key = $1 AND state <> 'sent'",
            [delivery.key.clone().into(), at(now)],
        ))
        .await?;
    let is_first = recorded.rows_affected() == 1;
    if let Some(user_id) = delivery.user_id.filter(|_| is_first) {
        let subject = Some(delivery.kind.to_owned());
        activity::record(&transaction, now, user_id, activity::Kind::Notification, subject).await?;
    }
    transaction.commit().await?;
    if is_first && delivery.channel == Channel::Mail {
        app.counters.increment("emails_sent_total");
        metrics::record_mail("sent");
    }
    publish(app, &delivery.key, "sent").await;
    Ok(Done::with(json!({ "state": "sent" })))
}

/// Records why the mail is not known to have gone, and returns what that means for the job.
async fn record_failure(app: &App, delivery: &Delivery, claim: &Claim, failure: SendError) -> Result<Error> {
    let (text, again) = (failure.to_string(), delivery.if_unknown == IfUnknown::Resend && !claim.resent);
    let (state, outcome, error) = match failure {
        SendError::Permanent(_) => ("refused", "refused", Error::Permanent(text.clone())),
        SendError::Temporary(_) | SendError::NotSent(_) | SendError::Setup(_) => {
            ("refused", "deferred", Error::Unavailable(anyhow!(text.clone())))
        }
        SendError::Unknown(_) if again => ("ambiguous", "unknown", Error::Unavailable(anyhow!(text.clone()))),
        SendError::Unknown(_) => ("ambiguous", "unknown", Error::Permanent(format!("{text}; {HELD}"))),
    };
    if delivery.channel == Channel::Mail {
        metrics::record_mail(outcome);
    }
    set(app, &delivery.key, claim.attempts, state, &text).await?;
    Ok(error)
}

/// Sets the state of a mail, unless it was sent or another try has begun. Nothing is awaited after the row says
/// `ambiguous`: a run that a shutdown gives back there would look like one that an operator has requeued.
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
    let key_of_mail = app.redis.keys().mail(key);
    let tell = async |mut redis: ConnectionManager| redis.set_ex(key_of_mail, value, STATUS_SECONDS).await;
    let told: RedisResult<()> = app.redis.notifications.query(tell).await;
    if let Err(error) = told {
        tracing::debug!(%error, mail.key = key, "the state of a mail was not published");
    }
}
