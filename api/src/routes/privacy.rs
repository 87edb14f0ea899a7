//! What is kept about people, and how they get it and have it erased.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::app::App;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(privacy_notice))
}

/// How data about people is used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrivacyNotice {
    msg: &'static str,
    notice: Vec<Topic>,
}

/// One thing to know.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Topic {
    /// What it is about.
    #[schema(example = "What is kept")]
    topic: &'static str,
    /// In plain words.
    #[schema(example = "Your name, your mail address and your bookings.")]
    text: String,
}

/// Tell what is kept about people, for how long, and how they get it or have it erased.
#[utoipa::path(get, path = "/privacy", tag = "accounts", responses(
    (status = 200, description = "The notice, with the periods of this installation", body = PrivacyNotice),
))]
pub(crate) async fn privacy_notice(State(app): State<App>) -> Json<PrivacyNotice> {
    let config = &app.config;
    let (hours, days) = (config.export_lifetime.as_secs() / 3600, config.schedules.retention.num_days());
    let notice = [
        (
            "What is kept",
            "Your name and mail address, a hash of your password, your plate and phone number if you gave them; \
             your bookings and what you paid; when you logged in, booked, left, exported, and which mails you got."
                .to_owned(),
        ),
        (
            "What for",
            "To let you park, to bill you, and to write to you about it. It is not sold, and nobody else gets it but \
             those who run this installation and the services by which they write to you."
                .to_owned(),
        ),
        (
            "Which mails you can do without",
            "Reminders and monthly reports: each has a link that ends them, without a login.".to_owned(),
        ),
        (
            "How long",
            format!(
                "As long as you have an account. Files of exports are kept for {hours} hours, records of background \
                 work for {days} days, statistics of calls, which name nobody, for longer."
            ),
        ),
        (
            "How to get it",
            "GET /api/users/{id}, /api/user/activity and /api/user-reports; your bookings as a CSV file by \
             POST /api/export/csv/request."
                .to_owned(),
        ),
        (
            "How to have it erased",
            "Ask an administrator to delete your account: name, mail address, plate, phone number and sessions go at \
             once. Bookings and bills stay, as the books need them, under a name that says nothing."
                .to_owned(),
        ),
    ];
    let notice = notice.into_iter().map(|(topic, text)| Topic { topic, text }).collect();
    Json(PrivacyNotice { msg: "how data about you is used", notice })
}
