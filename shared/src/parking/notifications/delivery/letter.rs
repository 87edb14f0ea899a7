//! Mails to users: written from a template, and sent once.

use std::time::{Duration, Instant};

use minijinja::{Value, context};
use sea_orm::FromQueryResult;

use super::{
    message::{Channel, Delivery, IfUnknown},
    once::send_mail_once,
};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::{Context, Done},
    parking::notifications::{outage, subscription::Subscription},
    platform::{
        config::Config,
        db::sql,
        keys::Keys,
        mailer::{Attachment, Inline, Mail},
        metrics,
        rate_limit::Action,
        templates::{Rendered, Templates},
    },
};

/// A mail to a user.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// As [`Delivery::key`].
    pub key: String,
    /// The template; also as [`Delivery::kind`].
    pub kind: &'static str,
    pub user_id: i64,
    /// Instead of the user's own address.
    pub to_address: Option<String>,
    /// The user's name and address, if they have been read already.
    pub recipient: Option<Recipient>,
    /// What the template shows besides `name` and `public_url`.
    pub values: Value,
    pub attachment: Option<Attachment>,
    /// Pictures in the HTML body.
    pub inline: Vec<Inline>,
    /// What the unsubscribe link in it ends.
    pub unsubscribe: Option<Subscription>,
    pub if_unknown: IfUnknown,
}

/// Longest wait for the rate limit within a run, since it blocks the queue; the ledger takes care of longer ones.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Sends the letter unless it has been sent.
///
/// # Errors
/// As [`send_mail_once`]; [`Error::Held`] during an outage of the mail server; [`Error::RateLimited`] if `MAIL_RATE_LIMIT` is
/// exceeded.
pub async fn deliver(context: &Context, letter: Letter) -> Result<Done> {
    let app = &context.app;
    let recipient = match letter.recipient.clone() {
        None => Recipient::find(app, letter.user_id).await?,
        known => known,
    };
    let Some(recipient) = recipient else { return Ok(Done::skipped("the user was deleted")) };
    let name = greeted(&recipient.username);
    let (rendered, unsubscribe) = compose(&app.templates, &app.config, &app.keys, &letter, name)?;
    let to_name = name.to_owned();
    let pass = outage::enter(app).await?;
    if let Err(error) = wait_for_rate_limit(app).await {
        pass.return_unused(app).await?;
        return Err(error);
    }
    let delivery = Delivery {
        key: letter.key,
        kind: letter.kind,
        channel: Channel::Mail,
        user_id: Some(letter.user_id),
        if_unknown: letter.if_unknown,
    };
    let send = |message_id| {
        let mail = Mail {
            to_name,
            to_address: letter.to_address.unwrap_or(recipient.email),
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
    send_mail_once(context, &delivery, pass, send).await
}

/// The end of a mail that has lost its meaning while it waited: it is counted, and not sent.
pub fn dropped(why: &str) -> Done {
    tracing::info!(why, "a mail that came too late was dropped");
    metrics::record_mail("dropped");
    Done::skipped(why)
}

/// Takes a mail out of `MAIL_RATE_LIMIT`, which all workers share.
async fn wait_for_rate_limit(app: &App) -> Result<()> {
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

/// How mails address a user. A name from before names were restricted may be a message to whoever has the address.
fn greeted(username: &str) -> &str {
    if spelling::name(username).is_ok() { username } else { "driver" }
}

/// Renders the letter. Also returns its unsubscribe link.
pub fn compose(
    templates: &Templates,
    config: &Config,
    keys: &Keys,
    letter: &Letter,
    name: &str,
) -> Result<(Rendered, Option<String>)> {
    let unsubscribe_url =
        letter.unsubscribe.map(|what| what.link(config, keys, letter.user_id)).transpose()?;
    let shown = context! {
        name, public_url => &config.public_url, web_url => &config.web_url,
        unsubscribe_url => &unsubscribe_url, ..letter.values.clone()
    };
    Ok((templates.render(letter.kind, shown)?, unsubscribe_url))
}

/// Whom a mail is sent to.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Recipient {
    pub username: String,
    pub email: String,
}

impl Recipient {
    async fn find(app: &App, user_id: i64) -> Result<Option<Self>> {
        let db = app.db.read();
        let text = "SELECT username, email FROM users WHERE id = $1 AND deleted_at IS NULL";
        Ok(Self::find_by_statement(sql(db, text, [user_id.into()])).one(db).await?)
    }
}
