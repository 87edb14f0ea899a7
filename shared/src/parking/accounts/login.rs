//! Login by mail address and password, and logout.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{
    find::with_mail,
    guard::Attempt,
    known,
    password::{self, Match, Priority},
    session::{self, Client},
    user::User,
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        identity::Identity,
    },
    jobs::Change,
    parking::{
        activity,
        audit::{self, Action, Actor, Object, Origin},
        second_factor,
    },
    platform::{
        counters::Event,
        db::{at, sql},
        metrics,
    },
};

/// A user and the token of their new session.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The user.
    pub user: User,
    /// Authenticates requests.
    pub token: String,
}

/// Logs in.
///
/// # Errors
/// [`Error::WrongCredentials`], the same for an unknown address and a wrong password; [`Error::Unconfirmed`]
/// if the account has a second factor, without its code; [`Error::RateLimited`].
pub async fn log_in(
    app: &App,
    email: &str,
    password: String,
    code: Option<&str>,
    client: Client,
) -> Result<LoggedIn> {
    let mut attempt = Some(Attempt::begin(app, email, client.address).await?);
    // Twice, because another login may replace the hash meanwhile.
    let mut confirmed_at = None;
    for _ in 0..2 {
        let (user, found) = match find_user(app, email, &password).await? {
            Ok(found) => found,
            Err(object) => return Err(refused(app, &client, object, "password").await?),
        };
        if let Some(attempt) = attempt.take() {
            attempt.succeeded().await;
        }
        if confirmed_at.is_none() {
            match second_factor::check_login(app, user.id, code).await {
                Ok(is_confirmed) => confirmed_at = is_confirmed.then(|| app.clock.now()),
                Err(error) => {
                    // Without a code it is only asked for.
                    if code.is_some() {
                        record_refusal(app, &client, Object::User(user.id), "second_factor").await?;
                    }
                    return Err(error);
                }
            }
        }
        let hash = match found {
            Match::AsTyped => password::hash(Priority::Login, password.clone()).await?,
            _ => user.password_hash.clone(),
        };
        if let Some(token) = open_session(app, &user, hash, &client, confirmed_at).await? {
            app.counters.mark_active(user.id);
            return Ok(LoggedIn { user, token });
        }
    }
    Err(Error::WrongCredentials)
}

/// The user with this address and password, or whose password was not found.
async fn find_user(
    app: &App,
    email: &str,
    password: &str,
) -> Result<std::result::Result<(User, Match), Object>> {
    let users = with_mail(app, email).await?;
    let object = users.first().map_or(Object::UnknownUser, |user| Object::User(user.id));
    if users.is_empty() {
        // An unknown address takes as long as a wrong password.
        password::verify(Priority::Login, password.to_owned(), None).await?;
    }
    for user in users {
        let found =
            password::verify(Priority::Login, password.to_owned(), Some(user.password_hash.clone())).await?;
        if found != Match::No {
            return Ok(Ok((user, found)));
        }
    }
    Ok(Err(object))
}

/// Opens a session and stores the hash. `None` if the password has changed meanwhile, or the user was deleted.
async fn open_session(
    app: &App,
    user: &User,
    hash: String,
    client: &Client,
    confirmed_at: Option<DateTime<Utc>>,
) -> Result<Option<String>> {
    let now = app.clock.now();
    let mut change = Change::begin(app).await?;
    // This comes first: it waits for a transaction that changes the password or deletes the user, and ends all sessions.
    let updated = change
        .tx()
        .execute_raw(sql(
            change.tx(),
            "UPDATE users SET last_login_at = $2, password_hash = $4
             WHERE id = $1 AND password_hash = $3 AND deleted_at IS NULL",
            [user.id.into(), at(now), user.password_hash.clone().into(), hash.into()],
        ))
        .await?;
    if updated.rows_affected() == 0 {
        return Ok(None);
    }
    let agent = client.user_agent.clone();
    let token = session::open_confirmed(app, change.tx(), user.id, agent, confirmed_at).await?;
    known::remember(app, change.tx(), user.id, client.address).await?;
    activity::record(change.tx(), now, user.id, activity::Kind::Login, None).await?;
    let by = Actor { user_id: Some(user.id), origin: Origin::Request(client.address) };
    let details = json!({ "second_factor": confirmed_at.is_some() });
    audit::record(change.tx(), now, &by, Action::LoggedIn, Object::User(user.id), &details).await?;
    change.counts(Event::Login);
    change.commit().await?;
    Ok(Some(token))
}

/// Records a refusal, for an unknown address as for a known one, and returns the same error for both.
async fn refused(app: &App, client: &Client, object: Object, why: &str) -> Result<Error> {
    metrics::record_event(metrics::LOGIN_REFUSED);
    record_refusal(app, client, object, why).await?;
    Ok(Error::WrongCredentials)
}

async fn record_refusal(app: &App, client: &Client, object: Object, why: &str) -> Result<()> {
    let by = Actor { user_id: None, origin: Origin::Request(client.address) };
    let (action, details) = (Action::LoginRefused, json!({ "because": why }));
    audit::record(app.db.write(), app.clock.now(), &by, action, object, &details).await
}

/// Ends the caller's session.
///
/// # Errors
/// [`Error::NotFound`] if it has already ended.
pub async fn log_out(app: &App, who: &Identity) -> Result<()> {
    let mut change = Change::begin(app).await?;
    session::end_in(&mut change, app.clock.now(), who.user_id, who.session_id).await?;
    change.counts(Event::Logout);
    change.commit().await?;
    app.counters.mark_inactive(who.user_id);
    Ok(())
}
