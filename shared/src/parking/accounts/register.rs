//! Registration: a driver opens an account and is logged in.

use super::{
    account::{Account, Registration},
    known,
    login::LoggedIn,
    password::{self, Priority},
    session::{self, Client},
    user,
};
use crate::{
    app::App,
    base::error::Result,
    jobs::Change,
    parking::{activity, notifications},
    platform::{cache::Group, counters::Event},
};

/// Opens an account for a driver, logs them in and sends a welcome mail.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) with every invalid field; [`Error::Conflict`](crate::Error::Conflict) if
/// the name, mail address, vehicle or phone number is taken.
pub async fn register(app: &App, registration: Registration, client: Client) -> Result<LoggedIn> {
    let account = Account::checked(registration, None, app.config.phone_country).await?;
    let account = Account { email_verified: false, ..account };
    let hash = password::hash(Priority::Other, account.password.clone()).await?;
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    let user = user::insert(change.tx(), now, account, hash, Some(now)).await?;
    let token = session::open(app, change.tx(), user.id, client.user_agent).await?;
    known::remember(app, change.tx(), user.id, client.address).await?;
    activity::record(change.tx(), now, user.id, activity::Kind::Login, None).await?;
    change.enqueue(&notifications::welcome(user.id)?).await?;
    change.invalidates([Group::Users]);
    change.counts(Event::Registration);
    change.commit().await?;
    app.counters.mark_active(user.id);
    Ok(LoggedIn { user, token })
}
