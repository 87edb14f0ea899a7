//! What a user did.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    base::time::wire,
    parking::activity::{self, Activity},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    auth::CurrentUser,
    extract::Query,
    paging::{Linked, PageQuery, Paging},
    problem::Answer,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_activity))
}

/// Whose activity.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// The user; yourself without. Only administrators may name others.
    user_id: Option<i64>,
}

/// Something that a user did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivityView {
    id: i64,
    /// `login`, `booking`, `cancellation`, `release`, `export` or `notification`.
    kind: String,
    /// The id of the reservation or the export, or the kind of mail.
    subject: Option<String>,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
}

impl From<Activity> for ActivityView {
    fn from(activity: Activity) -> Self {
        Self {
            id: activity.id,
            kind: activity.kind,
            subject: activity.subject,
            created_at: activity.created_at,
        }
    }
}

/// A user's activity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activities {
    msg: &'static str,
    #[serde(with = "wire::option")]
    last_login: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    last_booking: Option<DateTime<Utc>>,
    activities: Vec<ActivityView>,
}

/// List what a user did: logins, bookings, cancellations, releases, exports, mails.
#[utoipa::path(get, path = "/user/activity", tag = "accounts", security(("bearer" = [])), params(Whose, PageQuery), responses(
    (status = 200, description = "The newest first", body = Activities),
    (status = 403, description = "Only administrators may see what others did"),
    (status = 404, description = "There is no such user"),
))]
pub(crate) async fn list_activity(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Query(whose): Query<Whose>,
    paging: Paging,
) -> Answer<Linked<Activities>> {
    let history = activity::history(&app, &who, whose.user_id, &paging.page).await?;
    let next = history.activities.next(|row| row.id);
    Ok(paging.answer(
        next,
        Activities {
            msg: "activity",
            last_login: history.last_login,
            last_booking: history.last_booking,
            activities: history.activities.items.into_iter().map(ActivityView::from).collect(),
        },
    ))
}
