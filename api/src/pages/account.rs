//! Registration, login, logout and forgotten passwords.

use axum::{
    Router,
    extract::State,
    http::header,
    response::Response,
    routing::{get, post},
};
use minijinja::context;
use serde::Deserialize;
use shared::{
    Error, Result,
    app::App,
    parking::{
        accounts::{self, LoggedIn, Registration},
        second_factor,
    },
};

use super::{
    form::Form,
    visitor::{Visitor, home, local, see},
};
use crate::{
    http::{client::Client, cookies::Cookie, params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/login", get(show_login).post(log_in))
        .route("/ui/register", get(show_registration).post(register))
        .route("/ui/forgot-password", get(show_forgotten).post(forgot_password))
        .route("/ui/logout", post(log_out))
        .route("/ui/confirm", get(show_confirmation).post(confirm))
}

/// Where to continue after a login.
#[derive(Debug, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn show_login(visitor: Visitor, Query(Next { next }): Query<Next>) -> Answer<Response> {
    if visitor.identity().is_some() {
        return Ok(see(local(&next)));
    }
    visitor.page("login.html", context! { next => local(&next), asks_for_code => false })
}

async fn log_in(
    State(app): State<App>,
    visitor: Visitor,
    Client(client): Client,
    form: Form,
) -> Answer<Response> {
    let next = local(form.text("next")).to_owned();
    let (password, code) = (form.raw("password").to_owned(), form.optional("code"));
    match accounts::log_in(&app, form.text("email"), password, code.as_deref(), client).await {
        Ok(logged_in) => Ok(welcome(&app, &visitor, &logged_in, &next).await?),
        Err(error) => {
            let asks_for_code = code.is_some() || matches!(error, Error::Unconfirmed { .. });
            visitor.rejected("login.html", error, &form, context! { next, asks_for_code })
        }
    }
}

async fn show_registration(visitor: Visitor, Query(Next { next }): Query<Next>) -> Answer<Response> {
    if visitor.identity().is_some() {
        return Ok(see("/ui"));
    }
    visitor.page("register.html", context! { next => local(&next) })
}

async fn register(
    State(app): State<App>,
    visitor: Visitor,
    Client(client): Client,
    form: Form,
) -> Answer<Response> {
    let next = local(form.text("next")).to_owned();
    let registration = Registration {
        username: form.text("username").to_owned(),
        email: form.text("email").to_owned(),
        password: form.raw("password").to_owned(),
        vehicle_number: form.optional("vehicle_number"),
        phone_number: form.optional("phone_number"),
    };
    match accounts::register(&app, registration, client).await {
        Ok(logged_in) => Ok(welcome(&app, &visitor, &logged_in, &next).await?),
        Err(error) => visitor.rejected("register.html", error, &form, context! { next }),
    }
}

/// Each login has a new session. One that the browser had before ends.
async fn welcome(app: &App, visitor: &Visitor, logged_in: &LoggedIn, next: &str) -> Result<Response> {
    if let Some(before) = visitor.identity() {
        accounts::log_out(app, &before).await?;
    }
    let mut response = see(next);
    let cookies = [Cookie::Session.set(&app.config, &logged_in.token), Cookie::Visitor.remove(&app.config)];
    for line in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
    Ok(response)
}

async fn log_out(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    accounts::log_out(&app, &visitor.user()?).await?;
    let mut response = see("/ui?done=logout");
    response.headers_mut().extend(Cookie::Session.remove(&app.config).map(|line| (header::SET_COOKIE, line)));
    Ok(response)
}

async fn show_forgotten(visitor: Visitor) -> Answer<Response> {
    visitor.page("forgot_password.html", context! { sent => false })
}

/// The answer is the same for an unknown address.
async fn forgot_password(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    match accounts::forgot_password(&app, form.text("email")).await {
        Ok(()) => visitor.page("forgot_password.html", context! { sent => true }),
        Err(error) => visitor.rejected("forgot_password.html", error, &form, context! { sent => false }),
    }
}

async fn show_confirmation(visitor: Visitor, Query(Next { next }): Query<Next>) -> Answer<Response> {
    visitor.page("confirm.html", context! { next })
}

/// Confirms the session with a code, so that what was refused can be done.
async fn confirm(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let user = visitor.user()?;
    match second_factor::verify(&app, &user, form.text("code")).await {
        Ok(()) => {
            let next = Some(local(form.text("next"))).filter(|next| *next != "/ui");
            Ok(see(&format!("{}?done=confirmed", next.unwrap_or_else(|| home(&user)))))
        }
        Err(error) => visitor.rejected("confirm.html", error, &form, context! { next => form.text("next") }),
    }
}
