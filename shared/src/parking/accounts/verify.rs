//! Verifying a mail address by a token that was mailed to it.

use sea_orm::ConnectionTrait;

use super::{reset::by_token, user};
use crate::{
    app::App,
    base::error::Result,
    jobs::Change,
    parking::tokens::{self, Kind},
    platform::{
        cache::Group,
        db::{retry_on_conflict, sql},
    },
};

/// Marks the mail address of the user as verified.
///
/// # Errors
/// As [`by_token`].
pub async fn verify_email(app: &App, token: &str) -> Result<()> {
    let id = by_token(app, Kind::EmailVerification, token).await?.id;
    retry_on_conflict(async || {
        let mut change = Change::begin(app).await?;
        user::lock(change.tx(), id).await?;
        tokens::use_up(change.tx(), app.clock.now(), Kind::EmailVerification, id, token).await?;
        let text = "UPDATE users SET email_verified = TRUE WHERE id = $1";
        change.tx().execute_raw(sql(change.tx(), text, [id.into()])).await?;
        change.invalidates([Group::Users, Group::User(id)]);
        change.commit().await
    })
    .await
}
