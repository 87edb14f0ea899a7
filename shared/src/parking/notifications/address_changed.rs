//! The mail to the old address of a user whose address has changed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::{
    delivery::{Letter, deliver},
    format::local_time,
};
use crate::{
    base::error::Result,
    jobs::{Context, Done, Job, NewJob, Queue},
    parking::tokens::{self, Kind},
};

/// Tells the old address of a user about the new one. The token that undoes the change is in the database since then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendAddressChanged {
    /// The user.
    pub user_id: i64,
    /// When the address was changed.
    pub changed_at: DateTime<Utc>,
}

/// The job that tells the old address of a user about the new one.
///
/// # Errors
/// As [`NewJob::of`].
pub fn address_changed(user_id: i64, changed_at: DateTime<Utc>) -> Result<NewJob> {
    Ok(NewJob::of(&SendAddressChanged { user_id, changed_at })?.owner(user_id))
}

impl Job for SendAddressChanged {
    const NAME: &'static str = "send-address-changed";
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let app = &context.app;
        let Some(old) = tokens::address_of_job(app.db.read(), app.clock.now(), context.id).await? else {
            return Ok(Done::skipped("the link has expired or was used"));
        };
        let token = tokens::of_job(&app.keys, context.id, Kind::EmailUndo)?;
        let letter = Letter {
            key: format!("address-changed:{}", context.id),
            kind: "address_changed",
            user_id: self.user_id,
            to_address: Some(old),
            values: context! {
                changed => local_time(self.changed_at, app.config.zone),
                url => format!("{}/api/auth/undo-email-change?token={token}", app.config.public_url),
            },
            ..Letter::default()
        };
        deliver(context, letter).await
    }
}
