//! Verifying a mail address by a token that was mailed to it.

use sea_orm::ConnectionTrait;

use super::{address, user};
use crate::{
    app::App,
    base::error::{Error, Result},
    jobs::Change,
    parking::tokens::{self, Kind},
    platform::{
        cache::Group,
        db::{retry_on_conflict, sql},
    },
};

/// Marks the mail address of the user as verified. A new address replaces the old one.
///
/// # Errors
/// [`Error::Gone`] if the token is not valid, or not any more; [`Error::Conflict`] if the new address was taken meanwhile.
pub async fn verify_email(app: &App, token: &str) -> Result<()> {
    let found = tokens::find(app.db.read(), app.clock.now(), &Kind::VERIFICATIONS, token).await?;
    let id = found.user_id;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        let user = user::lock(change.tx(), id).await?;
        let used = tokens::use_up(change.tx(), app.clock.now(), found.kind, id, token).await?;
        match used.address {
            Some(new) if user.pending_email.as_ref() == Some(&new) => {
                address::replace(app, &mut change, user, new).await?;
            }
            Some(_) => return Err(Error::Gone("another address was entered since".into())),
            None => {
                let text = "UPDATE users SET email_verified = TRUE WHERE id = $1";
                change.tx().execute_raw(sql(change.tx(), text, [id.into()])).await?;
                change.invalidates([Group::Users, Group::User(id)]);
            }
        }
        change.commit().await
    })
    .await
}
