//! The unsubscribe links of emails: a page with a button, and one-click unsubscribing (RFC 8058).

use axum::{extract::State, response::Response};
use serde::Deserialize;
use shared::{Error, Result, app::App, parking::notifications::Subscription};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{params::Query, problem::Answer},
    site::{
        Stranger,
        linked::{self, Question},
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(confirm_unsubscribe, unsubscribe))
}

/// The query of an unsubscribe link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UnsubscribeLink {
    /// The recipient
    user_id: i64,
    /// The kind of emails
    #[param(pattern = "^(reminders|reports)$")]
    mails: String,
    /// The signature of the link, in hexadecimal
    #[param(pattern = "^[0-9a-f]{64}$")]
    signature: String,
}

impl UnsubscribeLink {
    fn subscription(&self) -> Result<Subscription> {
        Subscription::named(&self.mails).ok_or(Error::NotFound("unsubscribe link"))
    }
}

/// Show a page that asks for confirmation.
///
/// Opening it changes nothing.
#[utoipa::path(get, path = "/unsubscribe", tag = "accounts", params(UnsubscribeLink), responses(
    (status = 200, description = "A page with a button", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 404, description = "The link is not valid"),
))]
pub(crate) async fn confirm_unsubscribe(
    State(app): State<App>,
    stranger: Stranger,
    Query(link): Query<UnsubscribeLink>,
) -> Answer<Response> {
    let subscription = link.subscription()?;
    subscription.verify(&app.keys, link.user_id, &link.signature)?;
    let (title, text) = match subscription {
        Subscription::Reminders => ("unsubscribe-reminders", "unsubscribe-reminders-text"),
        Subscription::Reports => ("unsubscribe-reports", "unsubscribe-reports-text"),
    };
    // It posts to the address of the link.
    let question =
        Question { title, text, button: "unsubscribe-button", action: "", token: "", password: false };
    question.page(stranger)
}

/// Unsubscribe from a kind of emails, from the page or with one click in an email program.
///
/// Repeating it changes nothing.
#[utoipa::path(post, path = "/unsubscribe", tag = "accounts", params(UnsubscribeLink), responses(
    (status = 200, description = "A page that confirms it", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 404, description = "The link is not valid"),
))]
pub(crate) async fn unsubscribe(
    State(app): State<App>,
    stranger: Stranger,
    Query(link): Query<UnsubscribeLink>,
) -> Answer<Response> {
    link.subscription()?.end(&app, link.user_id, &link.signature).await?;
    linked::done(stranger, "unsubscribe-done-title", "unsubscribe-done-text", false)
}
