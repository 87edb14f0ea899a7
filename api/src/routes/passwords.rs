//! Setting a new password by a link in a mail, from a page or a client.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use shared::{
    app::App,
    parking::{accounts, tokens::Kind},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{answers::Message, body, client::Client, form::JsonOrForm, params::Query, problem::Answer},
    site::{
        Stranger,
        linked::{self, Question},
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(forgot_password)).routes(routes!(show_reset_form, reset_password))
}

/// Who has forgotten their password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ForgotPassword {
    /// The address of the account.
    email: String,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResetPassword {
    /// From the link in the mail.
    #[schema(example = "3b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e2846")]
    token: String,
    /// Must be hard to guess.
    #[schema(min_length = 8, max_length = 256)]
    password: String,
}

/// The query of a link that sets a new password.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResetLink {
    /// The token
    #[param(example = "3b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e2846")]
    token: String,
}

/// Mail a link that sets a new password. The answer is the same for an unknown address.
#[utoipa::path(post, path = "/auth/forgot-password", tag = "accounts", request_body = ForgotPassword, responses(
    (status = 202, description = "If the address has an account, a link that is valid for 30 minutes is mailed to it", body = Message),
))]
pub(crate) async fn forgot_password(
    State(app): State<App>,
    body::Json(body): body::Json<ForgotPassword>,
) -> Answer<(StatusCode, Json<Message>)> {
    accounts::forgot_password(&app, &body.email).await?;
    let msg = "if this address has an account, we have mailed a link that sets a new password";
    Ok((StatusCode::ACCEPTED, Json(Message { msg })))
}

/// Show a page with a form for the new password. Opening it changes nothing.
#[utoipa::path(get, path = "/auth/reset-password", tag = "accounts", params(ResetLink), responses(
    (status = 200, description = "A page with a form", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The link has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
))]
pub(crate) async fn show_reset_form(
    State(app): State<App>,
    stranger: Stranger,
    Query(link): Query<ResetLink>,
) -> Answer<Response> {
    match accounts::by_token(&app, &[Kind::PasswordReset], &link.token).await {
        Ok(_) => question(&link.token).page(stranger),
        Err(error) => linked::failed(stranger, error),
    }
}

const fn question(token: &str) -> Question<'_> {
    let (title, text, button) = ("reset-title", "reset-text", "reset-button");
    Question { title, text, button, action: "reset-password", token, password: true }
}

/// Set a new password with the token of a mail. All sessions of the user end.
#[utoipa::path(post, path = "/auth/reset-password", tag = "accounts",
    request_body(content((ResetPassword = "application/json"), (ResetPassword = "application/x-www-form-urlencoded"))), responses(
    (status = 200, description = "The password is set; the form of the page gets a page", content(
        (Message = "application/json"), (String = "text/html", example = json!("<!doctype html>…")))),
    (status = 400, description = "The request is malformed, or a field is invalid; the form of the page gets a page", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The token is not valid, has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 415, description = "The body is neither `application/json` nor a form"),
))]
pub(crate) async fn reset_password(
    State(app): State<App>,
    stranger: Stranger,
    Client(client): Client,
    body: JsonOrForm<ResetPassword>,
) -> Answer<Response> {
    let reset = async |body: &ResetPassword| {
        accounts::reset_password(&app, &body.token, &body.password, client.address).await
    };
    match body {
        JsonOrForm::Json(body) => {
            reset(&body).await?;
            Ok(Json(Message { msg: "password set; log in with it" }).into_response())
        }
        JsonOrForm::Form(body) => match reset(&body).await {
            Ok(()) => linked::done(stranger, "reset-done-title", "reset-done-text", true),
            Err(error) => question(&body.token).rejected(stranger, error),
        },
    }
}
