//! The privacy notice.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use minijinja::context;
use serde::Serialize;
use shared::{app::App, base::plural::plural};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{page, problem::Answer},
    site::Stranger,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(privacy_notice))
}

/// How personal data is used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrivacyNotice {
    msg: &'static str,
    notice: Vec<Topic>,
}

/// One topic of the notice.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Topic {
    /// The heading.
    #[schema(example = "What is kept")]
    topic: &'static str,
    /// The text.
    #[schema(example = "Your name, your email address and your bookings.")]
    text: String,
}

/// Read what personal data is stored and for how long, and how to get or erase it.
#[utoipa::path(get, path = "/privacy", tag = "accounts", responses(
    (status = 200, description = "The privacy notice of this installation; browsers get it as a page", body = PrivacyNotice),
))]
pub(crate) async fn privacy_notice(
    State(app): State<App>,
    stranger: Stranger,
    headers: HeaderMap,
) -> Answer<Response> {
    let config = &app.config;
    let hours = plural(config.export_lifetime.as_secs() / 3600, "hour");
    let days = plural(config.schedules.retention.num_days(), "day");
    let notice = [
        (
            "What is kept",
            "Your name and email address, a hash of your password, your licence plates and phone number if you entered \
             them; your bookings and payments; when you logged in, from which network address, booked, left or exported, and which emails you were \
             sent."
                .to_owned(),
        ),
        (
            "What it is used for",
            "To let you park, to bill you, and to write to you about it. It is not sold. Only the operators of this \
             installation, and the services through which they send messages, can see it."
                .to_owned(),
        ),
        (
            "Which emails are optional",
            "Reminders and monthly reports: each has a link to unsubscribe without logging in.".to_owned(),
        ),
        (
            "How long it is stored",
            format!(
                "As long as you have an account; the plate of a car that parked without one, for 90 days after it left, or \
                 until its bill is settled. Export files are kept for {hours} and records of background work \
                 for {days}. Who logged in or changed something, and from which network address, is kept for 400 days. Call statistics, which are anonymous, are kept longer."
            ),
        ),
        (
            "How to get your data",
            "POST /api/users/me/export makes an archive with all of it; your bookings alone as a CSV file by POST \
             /api/export/csv/request."
                .to_owned(),
        ),
        (
            "How to have it erased",
            "DELETE /api/users/me with your password, or ask an administrator. Your name, email address, licence plates, phone number and \
             sessions are erased at once. Bookings and bills stay for the accounts, under an anonymous name."
                .to_owned(),
        ),
    ];
    let notice = notice.into_iter().map(|(topic, text)| Topic { topic, text }).collect();
    let notice = PrivacyNotice { msg: "how your data is used", notice };
    if !page::is_wanted(&headers) {
        return Ok(Json(notice).into_response());
    }
    let topics = notice.notice.iter().map(|topic| context! { topic => topic.topic, text => &topic.text });
    let values = context! { notice => topics.collect::<Vec<_>>() };
    let mut page = stranger.page(StatusCode::OK, "privacy.html", values)?;
    page.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    Ok(page)
}
