//! The second factor of an account, and confirming a session with it.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    parking::{accounts, second_factor},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::Message,
        auth::{Admin, CurrentUser},
        body,
        params::Path,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(read_second_factor, begin_second_factor, remove_second_factor))
        .routes(routes!(confirm_second_factor))
        .routes(routes!(verify_second_factor))
        .routes(routes!(remove_second_factor_of))
}

/// Whether you have a second factor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecondFactor {
    msg: &'static str,
    /// Whether logins need a code.
    #[schema(example = true)]
    enabled: bool,
    /// Recovery codes that are left.
    #[schema(example = 10)]
    recovery_codes_left: i64,
}

/// The password that turns a second factor on.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BeginSecondFactor {
    /// Your password.
    current_password: String,
}

/// The secret of a second factor that is not on yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Enrolment {
    msg: &'static str,
    /// To type into an authenticator app.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same as a link, to show as a QR code.
    #[schema(
        example = "otpauth://totp/Parkade:asha%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Parkade"
    )]
    url: String,
}

/// A code of the second factor.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Code {
    /// Six digits from the authenticator app, or a recovery code.
    #[schema(example = "287082")]
    code: String,
}

/// The recovery codes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    msg: &'static str,
    /// Each replaces a code once. They are not shown again.
    recovery_codes: Vec<String>,
}

/// Read whether you have a second factor.
#[utoipa::path(get, path = "/auth/second-factor", tag = "accounts", responses(
    (status = 200, description = "Whether logins need a code", body = SecondFactor),
))]
pub(crate) async fn read_second_factor(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Answer<Json<SecondFactor>> {
    let status = second_factor::status(app.db.read(), user.user_id).await?;
    let (enabled, recovery_codes_left) = (status.is_on, status.recovery_codes);
    Ok(Json(SecondFactor { msg: "your second factor", enabled, recovery_codes_left }))
}

/// Get a secret for an authenticator app. It counts once you confirm it with a code.
#[utoipa::path(post, path = "/auth/second-factor", tag = "accounts", request_body = BeginSecondFactor, responses(
    (status = 200, description = "The secret", body = Enrolment),
    (status = 403, description = "The current password is wrong (`wrong_current_password`)"),
    (status = 409, description = "You have a second factor (`second_factor_on`)"),
))]
pub(crate) async fn begin_second_factor(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    body::Json(body): body::Json<BeginSecondFactor>,
) -> Answer<Json<Enrolment>> {
    let enrolment = accounts::begin_second_factor(&app, &user, Some(body.current_password)).await?;
    let msg = "add the secret to an authenticator app, and confirm it with a code";
    Ok(Json(Enrolment { msg, secret: enrolment.secret, url: enrolment.url }))
}

/// Turn the second factor on with its first code.
#[utoipa::path(post, path = "/auth/second-factor/confirm", tag = "accounts", request_body = Code, responses(
    (status = 200, description = "Logins need a code from now on", body = RecoveryCodes),
    (status = 403, description = "The code is wrong (`wrong_code`)"),
    (status = 409, description = "You have a second factor (`second_factor_on`), or have no secret yet (`second_factor_off`)"),
))]
pub(crate) async fn confirm_second_factor(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    body::Json(body): body::Json<Code>,
) -> Answer<Json<RecoveryCodes>> {
    let recovery_codes = accounts::confirm_second_factor(&app, &user, &body.code).await?;
    Ok(Json(RecoveryCodes { msg: "second factor on; keep the recovery codes", recovery_codes }))
}

/// Confirm this session with a code, for five minutes.
///
/// Accounts with a second factor need this before they change roles, set passwords of others, waive or refund bills, export the reservations of all
/// users, delete users, or turn a second factor off.
#[utoipa::path(post, path = "/auth/second-factor/verify", tag = "accounts", request_body = Code, responses(
    (status = 200, description = "The session is confirmed", body = Message),
    (status = 403, description = "The code is wrong (`wrong_code`)"),
    (status = 409, description = "You have no second factor (`second_factor_off`)"),
))]
pub(crate) async fn verify_second_factor(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    body::Json(body): body::Json<Code>,
) -> Answer<Json<Message>> {
    second_factor::verify(&app, &user, &body.code).await?;
    Ok(Json(Message { msg: "confirmed for five minutes" }))
}

/// Turn your second factor off. The session must be confirmed.
#[utoipa::path(delete, path = "/auth/second-factor", tag = "accounts", responses(
    (status = 200, description = "Logins need no code any more", body = Message),
    (status = 403, description = "The session is not confirmed (`second_factor_required`)"),
    (status = 409, description = "You have no second factor (`second_factor_off`)"),
))]
pub(crate) async fn remove_second_factor(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Answer<Json<Message>> {
    accounts::remove_second_factor(&app, &user).await?;
    Ok(Json(Message { msg: "second factor off" }))
}

/// Turn off the second factor of a user who has lost their device.
#[utoipa::path(delete, path = "/users/{id}/second-factor", tag = "users",
    params(("id" = i64, Path, description = "User id")), responses(
    (status = 200, description = "The user logs in without a code", body = Message),
    (status = 403, description = "You are not an administrator, or the session is not confirmed (`second_factor_required`)"),
    (status = 404, description = "The user has no second factor"),
))]
pub(crate) async fn remove_second_factor_of(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    accounts::remove_second_factor_of(&app, &admin, id).await?;
    Ok(Json(Message { msg: "second factor of the user off" }))
}
