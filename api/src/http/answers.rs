//! Bodies that several resources respond with.

use axum::http::StatusCode;
use serde::Serialize;
use shared::{Result, platform::idempotency::StoredAnswer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::idempotency::reply;

/// A confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    pub(crate) msg: &'static str,
}

/// Data with a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Data<T> {
    pub(crate) msg: &'static str,
    pub(crate) data: T,
}

/// A background task that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    msg: &'static str,
    message: &'static str,
    task_id: Uuid,
    job_id: Uuid,
    #[schema(example = "processing")]
    status: &'static str,
}

/// The answer to a request for background work: where to find the task, and when to look.
pub(crate) fn accepted(task_id: Uuid, msg: &'static str) -> Result<StoredAnswer> {
    let message = "the work is done in the background; poll the task";
    let body = Accepted { msg, message, task_id, job_id: task_id, status: "processing" };
    let answer = reply(StatusCode::ACCEPTED, &body)?;
    Ok(StoredAnswer { headers: Some(format!("/api/tasks/{task_id}")), ..answer })
}

/// A ratio, 0 if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn ratio(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// A number rounded to this many decimal places.
pub(crate) fn rounded(number: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (number * scale).round() / scale
}
