//! Deliveries of messages: emails, chat messages and SMS.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    Error, Result, app::App, base::time::wire, parking::notifications::deliveries,
    platform::entities::email_delivery,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    http::{
        auth::Admin,
        paging::{Linked, PageQuery, Paging},
        params::Query,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_deliveries))
}

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Only deliveries in this state.
    #[param(pattern = "^(sending|sent|refused|ambiguous)$")]
    state: Option<String>,
    /// Only messages of this kind, such as `receipt`.
    #[param(pattern = "^[a-z_]{1,40}$")]
    kind: Option<String>,
}

impl DeliveryQuery {
    fn checked(self) -> Result<Self> {
        if self.state.as_deref().is_some_and(|state| !deliveries::STATES.contains(&state)) {
            return Err(Error::invalid("state", "must be sending, sent, refused or ambiguous"));
        }
        let is_name = |kind: &str| {
            (1..=40).contains(&kind.len())
                && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        if self.kind.as_deref().is_some_and(|kind| !is_name(kind)) {
            return Err(Error::invalid("kind", "must be lower-case letters and underscores"));
        }
        Ok(self)
    }
}

/// A message and its delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// Identifies the message; it is sent once.
    #[schema(example = "receipt:7")]
    key: String,
    #[schema(example = "receipt")]
    kind: String,
    /// `mail`, `chat` or `sms`.
    #[schema(example = "mail")]
    channel: String,
    /// The recipient; null for a chat.
    user_id: Option<i64>,
    /// The job that sent it last. Requeue that job to send the message again.
    job_id: Option<Uuid>,
    /// The Message-ID, as in the header of the email and the log of the mail server.
    #[schema(example = "0b57a4e1c2d94f60@parkade.example")]
    message_id: String,
    /// `sending`, `sent`, `refused` or `ambiguous`.
    #[schema(example = "sent")]
    state: String,
    attempts: i64,
    /// Whether it may have been sent twice.
    resent: bool,
    /// Why it was not sent.
    #[schema(example = "rejected permanently: 550 5.1.1 no such mailbox")]
    error: Option<String>,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    #[serde(with = "wire")]
    updated_at: DateTime<Utc>,
}

impl From<email_delivery::Model> for DeliveryView {
    fn from(row: email_delivery::Model) -> Self {
        Self {
            key: row.key,
            kind: row.kind,
            channel: row.channel,
            user_id: row.user_id,
            job_id: row.job_id,
            message_id: row.message_id,
            state: row.state,
            attempts: row.attempts,
            resent: row.resent,
            error: row.error,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deliveries {
    msg: &'static str,
    deliveries: Vec<DeliveryView>,
}

/// List the deliveries of messages to users and administrators.
#[utoipa::path(get, path = "/admin/deliveries", tag = "admin", params(DeliveryQuery, PageQuery<Uuid>), responses(
    (status = 200, description = "Newest first", body = Deliveries),
))]
pub(crate) async fn list_deliveries(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<DeliveryQuery>,
    paging: Paging<Uuid>,
) -> Answer<Linked<Deliveries>> {
    let query = query.checked()?;
    let found = deliveries::list(&app, query.state.as_deref(), query.kind.as_deref(), &paging.page).await?;
    // Every listed row has a job.
    let next = found.next(|row| row.job_id.unwrap_or_default());
    Ok(paging.answer(next, Deliveries { msg: "deliveries", deliveries: found.map(DeliveryView::from).items }))
}
