//! The right to send a message: one try at a time has it, and what an earlier one left behind decides whether there is another.

use anyhow::anyhow;
use sea_orm::{ConnectionTrait, EntityTrait};
use sha2::{Digest, Sha256};

use super::{Delivery, HELD, IfUnknown, set};
use crate::{
    base::error::{Error, Result},
    jobs::Context,
    platform::{
        db::{at, sql},
        entities::email_delivery,
    },
};

/// The right to send, for one try.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) message_id: String,
    /// Which try this is, over all jobs; fences off the record of an earlier one.
    pub(super) attempts: i64,
    /// Whether this try may be the second mail.
    pub(super) resent: bool,
}

/// Claims the row. `None`: the message has been sent.
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
        return Ok(Some(Claim { message_id, attempts: 1, resent: false }));
    }
    let row = email_delivery::Entity::find_by_id(delivery.key.clone()).one(app.db.read()).await?;
    let row = row.ok_or_else(|| Error::Unavailable(anyhow!("the row of the mail is being changed")))?;
    match next(&row, context, delivery.if_unknown) {
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
