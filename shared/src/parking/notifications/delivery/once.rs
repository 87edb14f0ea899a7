//! Sending a message unless it has been sent, and recording the answer.

use std::{future::Future, time::Duration};

use anyhow::anyhow;
use backon::{ExponentialBuilder, Retryable};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tracing::Instrument;

use super::{
    claim::{Claim, claim},
    message::{Channel, Delivery, IfUnknown},
    state::{HELD, publish, set_unsent},
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::{Context, Done},
    parking::{activity, notifications::outage::Pass},
    platform::{
        db::{Engine, at, sql},
        mailer::SendError,
        metrics,
    },
};

/// Sends a message unless it has been sent. `send` is given the message's id.
///
/// # Errors
/// [`Error::Unavailable`] if a retry may help; [`Error::Permanent`] if the message was rejected, or is held because it may
/// have been sent.
pub async fn send_once<F: Future<Output = Result<(), SendError>>>(
    context: &Context,
    delivery: &Delivery,
    send: impl FnOnce(String) -> F,
) -> Result<Done> {
    let Some(claim) = claim(context, delivery).await? else { return Ok(sent()) };
    match attempt(delivery, &claim, send).await {
        Ok(()) => record_sent_insistently(&context.app, delivery).await,
        Err(failure) => {
            let error = after_failure(delivery, &claim, &failure);
            record_failure(&context.app, delivery, &claim, &failure, error).await
        }
    }
}

/// Sends a mail unless it has been sent, and reports what its fate says about the mail server.
///
/// # Errors
/// As [`send_once`]; [`Error::Held`] if the server takes no mail, and [`Error::Deferred`] if it rejects this one for now.
pub async fn send_mail_once<F: Future<Output = Result<(), SendError>>>(
    context: &Context,
    delivery: &Delivery,
    pass: Pass,
    send: impl FnOnce(String) -> F,
) -> Result<Done> {
    let app = &context.app;
    let claim = match claim(context, delivery).await {
        Ok(Some(claim)) => claim,
        other => {
            pass.return_unused(app).await?;
            return other.map(|_| sent());
        }
    };
    let Err(failure) = attempt(delivery, &claim, send).await else {
        let done = record_sent_insistently(app, delivery).await?;
        pass.report(app, None).await;
        return Ok(done);
    };
    let error = after_mail_failure(app, delivery, &claim, &failure).await;
    pass.report(app, outage_of(&failure, &error)).await;
    record_failure(app, delivery, &claim, &failure, error).await
}

/// As [`after_failure`], for a mail.
async fn after_mail_failure(app: &App, delivery: &Delivery, claim: &Claim, failure: &SendError) -> Error {
    let text = failure.to_string();
    match failure {
        SendError::Temporary(_) => Error::Deferred(text),
        SendError::Policy(_) if are_others_accepted(app, claim).await.unwrap_or(false) => {
            Error::Deferred(text)
        }
        SendError::NotSent(_) | SendError::Setup(_) | SendError::Policy(_) => Error::Held(text),
        SendError::Permanent(_) | SendError::Unknown(_) => after_failure(delivery, claim, failure),
    }
}

/// The outage of which this failure is a sign, and whether settings must be changed.
fn outage_of(failure: &SendError, error: &Error) -> Option<(String, bool)> {
    let is_outage = matches!(failure, SendError::Unknown(_)) || matches!(error, Error::Held(_));
    let needs_repair = matches!(failure, SendError::Setup(_) | SendError::Policy(_));
    is_outage.then(|| (failure.to_string(), needs_repair))
}

fn sent() -> Done {
    Done::with(json!({ "state": "sent" }))
}

async fn attempt<F: Future<Output = Result<(), SendError>>>(
    delivery: &Delivery,
    claim: &Claim,
    send: impl FnOnce(String) -> F,
) -> Result<(), SendError> {
    let span = tracing::info_span!("mail", mail.kind = delivery.kind, mail.channel = delivery.channel.name());
    send(claim.message_id.clone()).instrument(span).await
}

/// Whether the server has accepted other mails since it first rejected this one.
async fn are_others_accepted(app: &App, claim: &Claim) -> Result<bool> {
    let Some(rejected_at) = claim.rejected_at else { return Ok(false) };
    let db = app.db.read();
    let text = "SELECT 1 FROM email_deliveries WHERE state = 'sent' AND channel = 'mail' AND updated_at > $1 LIMIT 1";
    Ok(db.query_one_raw(sql(db, text, [at(rejected_at)])).await?.is_some())
}

/// Records the success, retrying for some seconds: without the record, the message might be sent twice.
async fn record_sent_insistently(app: &App, delivery: &Delivery) -> Result<Done> {
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_factor(4.0)
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(4);
    let record = || record_sent(app, delivery);
    let warn = |error: &Error, _| {
        tracing::warn!(error = error.chain(), "cannot record that a message was sent; retrying");
    };
    record.retry(backoff).when(Error::is_transient).notify(warn).await
}

/// Records the success, whatever another run has done with the row since.
async fn record_sent(app: &App, delivery: &Delivery) -> Result<Done> {
    let is_first = store_sent(app, delivery).await?;
    if is_first && delivery.channel == Channel::Mail {
        app.counters.increment("emails_sent_total");
        metrics::record_mail("sent");
    }
    publish(app, &delivery.key, "sent").await;
    Ok(sent())
}

const SENT: &str = "UPDATE email_deliveries SET state = 'sent', error = NULL, updated_at = $2
    WHERE key = $1 AND state <> 'sent'";

/// Stores that the message was sent, with the activity of its recipient. Whether it was not stored before.
async fn store_sent(app: &App, delivery: &Delivery) -> Result<bool> {
    let (db, now, kind) = (app.db.write(), app.clock.now(), activity::Kind::Notification);
    let values = [delivery.key.clone().into(), at(now)];
    let Some(user_id) = delivery.user_id else {
        return Ok(db.execute_raw(sql(db, SENT, values)).await?.rows_affected() == 1);
    };
    if app.db.engine() == Engine::Postgres {
        // A single statement needs neither BEGIN nor COMMIT.
        let record = format!(
            "WITH sent AS ({SENT} RETURNING key) {} SELECT $3, $4, $5, $2 FROM sent",
            activity::INSERT
        );
        let values = values.into_iter().chain([user_id.into(), kind.as_str().into(), delivery.kind.into()]);
        return Ok(db.execute_raw(sql(db, &record, values)).await?.rows_affected() == 1);
    }
    let tx = app.db.begin().await?;
    let is_first = tx.execute_raw(sql(&tx, SENT, values)).await?.rows_affected() == 1;
    if is_first {
        activity::record(&tx, now, user_id, kind, Some(delivery.kind.to_owned())).await?;
    }
    tx.commit().await?;
    Ok(is_first)
}

/// With which error the job ends or is retried.
fn after_failure(delivery: &Delivery, claim: &Claim, failure: &SendError) -> Error {
    let text = failure.to_string();
    let may_resend = delivery.if_unknown == IfUnknown::Resend && !claim.resent;
    match failure {
        SendError::Permanent(_) => Error::Permanent(text),
        SendError::Unknown(_) if !may_resend => Error::Permanent(format!("{text}; {HELD}")),
        _ => Error::Unavailable(anyhow!(text)),
    }
}

/// Records why the message is not known to be sent, and ends the run with `error`.
async fn record_failure(
    app: &App,
    delivery: &Delivery,
    claim: &Claim,
    failure: &SendError,
    error: Error,
) -> Result<Done> {
    if delivery.channel == Channel::Mail {
        metrics::record_mail(match (failure, &error) {
            (SendError::Unknown(_), _) => "unknown",
            (_, Error::Held(_)) => "held",
            (_, Error::Permanent(_)) => "refused",
            _ => "deferred",
        });
    }
    let state = if matches!(failure, SendError::Unknown(_)) { "ambiguous" } else { "refused" };
    set_unsent(app, &delivery.key, claim.attempts, state, &failure.to_string()).await?;
    Err(error)
}
