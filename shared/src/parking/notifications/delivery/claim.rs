//! Claiming a message: one attempt at a time may send it, and the state left by earlier ones decides whether to try again.

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait};
use sha2::{Digest, Sha256};

use super::{
    message::{Delivery, IfUnknown},
    state::{HELD, set_unsent},
};
use crate::{
    base::error::{Error, Result},
    jobs::Context,
    platform::{
        db::{at, sql},
        entities::email_delivery,
    },
};

/// The right to send a message, for one attempt.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) message_id: String,
    /// Number of this attempt over all jobs; late writes of earlier attempts do not match it.
    pub(super) attempts: i64,
    /// Whether this attempt may produce a duplicate.
    pub(super) resent: bool,
    /// When an earlier attempt was rejected.
    pub(super) rejected_at: Option<DateTime<Utc>>,
}

/// Claims the message; `None` if it has been sent.
pub(super) async fn claim(context: &Context, delivery: &Delivery) -> Result<Option<Claim>> {
    let (app, now) = (&context.app, at(context.app.clock.now()));
    let message_id = message_id(context, &delivery.key);
    let inserted = app
        .db
        .write()
        .execute_raw(sql(
            app.db.write(),
            "INSERT INTO email_deliveries
                (key, kind, channel, user_id, job_id, message_id, state, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'sending', $7, $7) ON CONFLICT (key) DO NOTHING",
            [
                delivery.key.clone().into(),
                delivery.kind.into(),
                delivery.channel.name().into(),
                delivery.user_id.into(),
                context.id.into(),
                message_id.clone().into(),
                now,
            ],
        ))
        .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Some(Claim { message_id, attempts: 1, resent: false, rejected_at: None }));
    }
    let row = email_delivery::Entity::find_by_id(delivery.key.clone()).one(app.db.read()).await?;
    let row =
        row.ok_or_else(|| Error::Unavailable(anyhow!("the row of the message was deleted meanwhile")))?;
    match next_step(&row, context, delivery.if_unknown) {
        Step::Nothing => Ok(None),
        Step::Send { resent } => claim_again(context, &row, resent).await.map(Some),
        Step::Hold => {
            set_unsent(app, &row.key, row.attempts, "ambiguous", HELD).await?;
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
        return Err(Error::Unavailable(anyhow!("another run has just claimed the message")));
    }
    let rejected_at = (row.state == "refused").then_some(row.updated_at);
    Ok(Claim { message_id: row.message_id.clone(), attempts: row.attempts + 1, resent, rejected_at })
}

/// What to do about a message that an earlier run has claimed.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Send { resent: bool },
    Hold,
}

/// A row in the state `sending` belongs to a run that died before it recorded an answer.
fn next_step(row: &email_delivery::Model, context: &Context, if_unknown: IfUnknown) -> Step {
    // Only requeueing a job restarts its attempts at 1, and the operator who does that has read the reason.
    let requeued = context.attempt == 1 && row.job_id == Some(context.id);
    match row.state.as_str() {
        "sent" => Step::Nothing,
        "refused" => Step::Send { resent: row.resent },
        "ambiguous" if requeued => Step::Send { resent: true },
        _ if if_unknown == IfUnknown::Resend && !row.resent => Step::Send { resent: true },
        _ => Step::Hold,
    }
}

/// The Message-ID: stable over all attempts of the job, and distinct from those of an earlier database that used the same
/// ids.
fn message_id(context: &Context, key: &str) -> String {
    let config = &context.app.config;
    let hash = Sha256::digest(format!("{} {key} {}", config.redis_prefix, context.id));
    let sender = config.mail.sender.parse::<lettre::message::Mailbox>();
    format!(
        "{}@{}",
        hex::encode(&hash[..16]),
        sender.as_ref().map_or("localhost", |sender| sender.email.domain())
    )
}
