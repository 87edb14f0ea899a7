//! The activity log of a user.

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

use crate::{
    http::{
        auth::CurrentUser,
        paging::{Linked, PageQuery, Paging},
        params::Query,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_activity))
}

/// Whose activity to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActivityQuery {
    /// The user; by default yourself. Only administrators may name others.
    user_id: Option<i64>,
}

/// An entry of the activity log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivityView {
    id: i64,
    /// `login`, `booking`, `cancellation`, `release`, `export` or `notification`.
    kind: String,
    /// The id of the reservation or export, or the kind of notification.
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

/// A user's activity log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activities {
    msg: &'static str,
    #[serde(with = "wire::option")]
    last_login: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    last_booking: Option<DateTime<Utc>>,
    activities: Vec<ActivityView>,
}

/// List a user's activity: logins, bookings, cancellations, releases, exports, notifications.
#[utoipa::path(get, path = "/user/activity", tag = "accounts", params(ActivityQuery, PageQuery), responses(
    (status = 200, description = "Newest first", body = Activities),
    (status = 403, description = "Only administrators may see the activity of others"),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn list_activity(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<ActivityQuery>,
    paging: Paging,
) -> Answer<Linked<Activities>> {
    let history = activity::history(&app, &user, query.user_id, &paging.page).await?;
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
