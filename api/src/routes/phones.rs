//! Proving one's phone number with a code that is sent to it.

use axum::{Json, extract::State};
use serde::Deserialize;
use shared::{app::App, parking::accounts};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{answers::Message, auth::CurrentUser, body, problem::Answer},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(send_phone_code)).routes(routes!(verify_phone))
}

/// The code that was sent.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct VerifyPhone {
    #[schema(min_length = 6, max_length = 6, pattern = "^[0-9]{6}$", example = "014762")]
    code: String,
}

/// Send a code to your phone number, which proves that it is yours.
///
/// The code is valid for ten minutes and five attempts. Until the number is verified, no other SMS is sent to it.
#[utoipa::path(post, path = "/users/me/phone/verification", tag = "accounts", responses(
    (status = 200, description = "The SMS is on its way", body = Message),
    (status = 409, description = "Your account has no number or a verified one, or the installation sends no SMS"),
))]
pub(crate) async fn send_phone_code(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Answer<Json<Message>> {
    accounts::send_phone_code(&app, &user).await?;
    Ok(Json(Message { msg: "a code is on its way to your phone" }))
}

/// Verify your phone number with the code that was sent to it.
#[utoipa::path(post, path = "/users/me/phone/verification/confirm", tag = "accounts", request_body = VerifyPhone, responses(
    (status = 200, description = "The number is verified", body = Message),
    (status = 409, description = "No code is valid, or it was tried too often; request another one"),
))]
pub(crate) async fn verify_phone(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    body::Json(body): body::Json<VerifyPhone>,
) -> Answer<Json<Message>> {
    accounts::verify_phone(&app, &user, &body.code).await?;
    Ok(Json(Message { msg: "your phone number is verified" }))
}
