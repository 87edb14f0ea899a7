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
    parking::{activity, notifications::alert},
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
    let app = &context.app;
    let Some(claim) = claim(context, delivery).await? else {
        return Ok(Done::with(json!({ "state": "sent" })));
    };
    let span = tracing::info_span!("mail", mail.kind = delivery.kind, mail.channel = delivery.channel.name());
    match send(claim.message_id.clone()).instrument(span).await {
        Ok(()) => record_sent_insistently(app, delivery).await,
        Err(SendError::Setup(why)) => {
            let error = record_failure(app, delivery, &claim, SendError::Setup(why.clone())).await?;
            if !alert::is_alert(&delivery.key) {
                alert::mail_server_refuses(app, &why).await;
            }
            Err(error)
        }
        Err(failure) => Err(record_failure(app, delivery, &claim, failure).await?),
    }
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
    Ok(Done::with(json!({ "state": "sent" })))
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

/// Records why the message is not known to be sent, and returns the error with which the job ends or is retried.
async fn record_failure(app: &App, delivery: &Delivery, claim: &Claim, failure: SendError) -> Result<Error> {
    let text = failure.to_string();
    let may_resend = delivery.if_unknown == IfUnknown::Resend && !claim.resent;
    let retry = || Error::Unavailable(anyhow!(text.clone()));
    let (state, outcome, error) = match failure {
        SendError::Permanent(_) => ("refused", "refused", Error::Permanent(text.clone())),
        SendError::Temporary(_) | SendError::NotSent(_) | SendError::Setup(_) => {
            ("refused", "deferred", retry())
        }
        SendError::Unknown(_) if may_resend => ("ambiguous", "unknown", retry()),
        SendError::Unknown(_) => ("ambiguous", "unknown", Error::Permanent(format!("{text}; {HELD}"))),
    };
    if delivery.channel == Channel::Mail {
        metrics::record_mail(outcome);
    }
    set_unsent(app, &delivery.key, claim.attempts, state, &text).await?;
    Ok(error)
}
