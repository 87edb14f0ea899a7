//! The unsubscribe links of emails: a page with a button, and one-click unsubscribing (RFC 8058).

use axum::{
    extract::State,
    http::{HeaderName, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use shared::{Error, Result, app::App, parking::notifications::Subscription};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{params::Query, problem::Answer},
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

/// Show a page that asks for confirmation. Opening it changes nothing.
#[utoipa::path(get, path = "/unsubscribe", tag = "accounts", params(UnsubscribeLink), responses(
    (status = 200, description = "A page with a button", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 404, description = "The link is not valid"),
))]
pub(crate) async fn confirm_unsubscribe(
    State(app): State<App>,
    Query(link): Query<UnsubscribeLink>,
) -> Answer<Response> {
    let subscription = link.subscription()?;
    subscription.verify(&app.config, link.user_id, &link.signature)?;
    let (title, text) = match subscription {
        Subscription::Reminders => {
            ("No more reminders?", "We will no longer write when you have not parked for a while.")
        }
        Subscription::Reports => {
            ("No more monthly reports?", "We will no longer send a summary of your parking each month.")
        }
    };
    Ok(page(title, text, r#"<form method="post"><button>Yes, unsubscribe</button></form>"#))
}

/// Unsubscribe from a kind of emails, from the page or with one click in an email program. Repeating it changes nothing.
#[utoipa::path(post, path = "/unsubscribe", tag = "accounts", params(UnsubscribeLink), responses(
    (status = 200, description = "A page that confirms it", body = String, content_type = "text/html", example = json!("<!doctype html>…")),
    (status = 404, description = "The link is not valid"),
))]
pub(crate) async fn unsubscribe(
    State(app): State<App>,
    Query(link): Query<UnsubscribeLink>,
) -> Answer<Response> {
    link.subscription()?.end(&app, link.user_id, &link.signature).await?;
    Ok(page(
        "You are unsubscribed",
        "You will still get emails about your bookings, receipts and exports.",
        "",
    ))
}

/// A page that loads nothing and sends no referrer.
fn page(title: &str, text: &str, form: &str) -> Response {
    const STYLE: &str = "body{margin:0;padding:24px 12px;background:#edf1f5;font:16px/1.55 sans-serif;color:#24384c}\
        main{max-width:440px;margin:0 auto;padding:28px 26px;border-radius:12px;background:#fff}\
        h1{margin:0 0 12px;font-size:22px;color:#14283d}p{margin:0 0 18px}\
        button{padding:11px 22px;border:0;border-radius:8px;background:#1257a8;color:#fff;font:600 16px sans-serif}";
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title} · Parkade</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>\n"
    );
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    (headers, Html(html)).into_response()
}
