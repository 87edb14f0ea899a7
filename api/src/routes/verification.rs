//! Verifying a mail address by a link in a mail, from a page or a client.

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
    http::{answers::Message, form::JsonOrForm, page::page, params::Query, problem::Answer},
    routes::passwords::link_failed,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show_verification, verify_email))
}

/// The token of a link that verifies an address.
#[derive(Debug, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VerifyEmail {
    /// From the link in the mail
    #[schema(example = "3b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e2846")]
    #[param(example = "3b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e28463b1f0d9c5a7e2846")]
    token: String,
}

/// Show a page with a button that verifies the address. Opening it changes nothing.
#[utoipa::path(get, path = "/auth/verify-email", tag = "accounts", params(VerifyEmail), responses(
    (status = 200, description = "A page with a button", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The link has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
))]
pub(crate) async fn show_verification(State(app): State<App>, Query(link): Query<VerifyEmail>) -> Response {
    if let Err(error) = accounts::by_token(&app, Kind::EmailVerification, &link.token).await {
        return link_failed(error);
    }
    // A valid token consists of digits and letters.
    let token = link.token;
    page(
        "Is this your address?",
        &format!(
            "<p>You opened the link in our mail, so it seems to be.</p><form method=\"post\" action=\"verify-email\">\
             <input type=\"hidden\" name=\"token\" value=\"{token}\"><button>Yes, it is mine</button></form>"
        ),
    )
}

/// Verify the mail address to which the token was sent.
#[utoipa::path(post, path = "/auth/verify-email", tag = "accounts",
    request_body(content((VerifyEmail = "application/json"), (VerifyEmail = "application/x-www-form-urlencoded"))), responses(
    (status = 200, description = "The address is verified; the form of the page gets a page", content(
        (Message = "application/json"), (String = "text/html", example = json!("<!doctype html>…")))),
    (status = 400, description = "The request is malformed, or a field is invalid; the form of the page gets a page", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 410, description = "The token is not valid, has expired or was used", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 415, description = "The body is neither `application/json` nor a form"),
))]
pub(crate) async fn verify_email(State(app): State<App>, body: JsonOrForm<VerifyEmail>) -> Answer<Response> {
    match body {
        JsonOrForm::Json(body) => {
            accounts::verify_email(&app, &body.token).await?;
            Ok(Json(Message { msg: "your mail address is verified" }).into_response())
        }
        JsonOrForm::Form(body) => Ok(match accounts::verify_email(&app, &body.token).await {
            Ok(()) => page("Your address is verified", "<p>Thank you. You can close this page.</p>"),
            Err(error) => link_failed(error),
        }),
    }
}
