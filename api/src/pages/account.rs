//! Registration, login, logout and forgotten passwords.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::Response,
    routing::{get, post},
};
use minijinja::context;
use serde::Deserialize;
use shared::{
    Result,
    app::App,
    parking::accounts::{self, LoggedIn, Registration},
};

use super::{
    form::Form,
    visitor::{Visitor, local, see},
};
use crate::{
    http::{cookies::Cookie, params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/login", get(show_login).post(log_in))
        .route("/ui/register", get(show_registration).post(register))
        .route("/ui/forgot-password", get(show_forgotten).post(forgot_password))
        .route("/ui/logout", post(log_out))
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
    visitor.page("login.html", context! { next => local(&next) })
}

async fn log_in(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Form,
) -> Answer<Response> {
    let next = local(form.text("next")).to_owned();
    let password = form.raw("password").to_owned();
    match accounts::log_in(&app, form.text("email"), password, user_agent(&headers)).await {
        Ok(logged_in) => Ok(welcome(&app, &visitor, &logged_in, &next).await?),
        Err(error) => visitor.rejected("login.html", error, &form, context! { next }),
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
    headers: HeaderMap,
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
    match accounts::register(&app, registration, user_agent(&headers)).await {
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

fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
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
