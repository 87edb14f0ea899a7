//! Verifying a mail address, or restoring the one before a change, by a link in a mail, from a page or a client.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    parking::{accounts, tokens::Kind},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{answers::Message, auth::CurrentUser, form::JsonOrForm, params::Query, problem::Answer},
    site::{
        Stranger,
        linked::{self, Question},
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(show_verification, verify_email))
        .routes(routes!(resend_verification))
        .routes(routes!(show_undo, undo_email_change))
}

/// The token of a link.
#[derive(Debug, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MailedToken {
    /// From the link in the mail
    #[schema(example = "3b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e2846")]
    #[param(example = "3b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e2846")]
    token: String,
}

/// Show a page with a button that verifies the address. Opening it changes nothing.
#[utoipa::path(get, path = "/auth/verify-email", tag = "accounts", params(MailedToken), responses(
    (status = 200, description = "A page with a button", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The link has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
))]
pub(crate) async fn show_verification(
    State(app): State<App>,
    stranger: Stranger,
    Query(link): Query<MailedToken>,
) -> Answer<Response> {
    if let Err(error) = accounts::by_token(&app, &Kind::VERIFICATIONS, &link.token).await {
        return linked::failed(stranger, error);
    }
    let (title, text, button) = ("verify-title", "verify-text", "verify-button");
    let (action, token) = ("verify-email", &*link.token);
    Question { title, text, button, action, token, password: false }.page(stranger)
}

/// Verify the mail address to which the token was sent.
#[utoipa::path(post, path = "/auth/verify-email", tag = "accounts",
    request_body(content((MailedToken = "application/json"), (MailedToken = "application/x-www-form-urlencoded"))), responses(
    (status = 200, description = "The address is verified; the form of the page gets a page", content(
        (Message = "application/json"), (String = "text/html", example = json!("<!doctype html>…")))),
    (status = 400, description = "The request is malformed, or a field is invalid; the form of the page gets a page", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 409, description = "The new address belongs to another account by now"),
    (status = 410, description = "The token is not valid, has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 415, description = "The body is neither `application/json` nor a form"),
))]
pub(crate) async fn verify_email(
    State(app): State<App>,
    stranger: Stranger,
    body: JsonOrForm<MailedToken>,
) -> Answer<Response> {
    match body {
        JsonOrForm::Json(body) => {
            accounts::verify_email(&app, &body.token).await?;
            Ok(Json(Message { msg: "your mail address is verified" }).into_response())
        }
        JsonOrForm::Form(body) => match accounts::verify_email(&app, &body.token).await {
            Ok(()) => linked::done(stranger, "verify-done-title", "verify-done-text", false),
            Err(error) => linked::failed(stranger, error),
        },
    }
}

/// Mail the link that verifies your address once more.
#[utoipa::path(post, path = "/auth/resend-verification", tag = "accounts", responses(
    (status = 200, description = "A link is mailed to your new address, or to the one you have", body = Message),
    (status = 409, description = "Your address is verified (`already_verified`)"),
))]
pub(crate) async fn resend_verification(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Answer<Json<Message>> {
    accounts::resend_verification(&app, user.user_id).await?;
    Ok(Json(Message { msg: "we have mailed a link to your address" }))
}

/// Show a page with a button that restores the mail address before a change. Opening it changes nothing.
#[utoipa::path(get, path = "/auth/undo-email-change", tag = "accounts", params(MailedToken), responses(
    (status = 200, description = "A page with a button", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The link has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
))]
pub(crate) async fn show_undo(
    State(app): State<App>,
    stranger: Stranger,
    Query(link): Query<MailedToken>,
) -> Answer<Response> {
    if let Err(error) = accounts::by_token(&app, &[Kind::EmailUndo], &link.token).await {
        return linked::failed(stranger, error);
    }
    let (title, text, button) = ("undo-title", "undo-text", "undo-button");
    let (action, token) = ("undo-email-change", &*link.token);
    Question { title, text, button, action, token, password: false }.page(stranger)
}

/// Restore the mail address before a change with the token of a mail. All sessions of the user end.
#[utoipa::path(post, path = "/auth/undo-email-change", tag = "accounts",
    request_body(content((MailedToken = "application/json"), (MailedToken = "application/x-www-form-urlencoded"))), responses(
    (status = 200, description = "The address is restored; the form of the page gets a page", content(
        (Message = "application/json"), (String = "text/html", example = json!("<!doctype html>…")))),
    (status = 400, description = "The request is malformed, or a field is invalid; the form of the page gets a page", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The token is not valid, has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 415, description = "The body is neither `application/json` nor a form"),
))]
pub(crate) async fn undo_email_change(
    State(app): State<App>,
    stranger: Stranger,
    body: JsonOrForm<MailedToken>,
) -> Answer<Response> {
    match body {
        JsonOrForm::Json(body) => {
            accounts::undo_email_change(&app, &body.token).await?;
            Ok(Json(Message { msg: "your mail address is restored; set a new password" }).into_response())
        }
        JsonOrForm::Form(body) => match accounts::undo_email_change(&app, &body.token).await {
            Ok(()) => linked::done(stranger, "undo-done-title", "undo-done-text", false),
            Err(error) => linked::failed(stranger, error),
        },
    }
}
