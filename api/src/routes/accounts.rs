//! Registration, login and the caller's own sessions.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    base::time::wire,
    parking::accounts::{self, LoggedIn, Registration, User, session},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::http::{
    auth::CurrentUser,
    extract::{self, Path},
    problem::Answer,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(log_out))
        .routes(routes!(refresh))
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
}

/// What a new driver tells.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Register {
    /// Unique without regard to case.
    #[schema(min_length = 1, max_length = 80, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    username: String,
    /// The login; unique without regard to case.
    #[schema(max_length = 120, format = "email")]
    email: String,
    #[schema(min_length = 8, max_length = 256)]
    password: String,
    /// The plate; unique, and none when blank.
    #[schema(max_length = 20, pattern = r"^[^\x00]*$")]
    vehicle_number: Option<String>,
    /// Unique, and none when blank.
    #[schema(max_length = 20, pattern = r"^[^\x00]*$")]
    phone_number: Option<String>,
}

/// Who logs in.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct LogIn {
    email: String,
    password: String,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    id: i64,
    username: String,
    email: String,
    role: String,
    vehicle_number: Option<String>,
    phone_number: Option<String>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            role: user.role,
            vehicle_number: user.vehicle_number,
            phone_number: user.phone_number,
        }
    }
}

/// A user and their token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenAndUser {
    msg: &'static str,
    token: String,
    user: UserView,
}

impl TokenAndUser {
    fn of(msg: &'static str, LoggedIn { user, token }: LoggedIn) -> Json<Self> {
        Json(Self { msg, token, user: user.into() })
    }
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    msg: &'static str,
    token: String,
}

/// A word of confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    pub(crate) msg: &'static str,
}

/// A login.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    id: Uuid,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    #[serde(with = "wire")]
    expires_at: DateTime<Utc>,
    user_agent: Option<String>,
    /// When it was last in use, to the minute; null when that is unknown.
    #[serde(with = "wire::option")]
    last_active_at: Option<DateTime<Utc>>,
    /// Whether this request came by it.
    current: bool,
}

/// The caller's logins.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sessions {
    msg: &'static str,
    sessions: Vec<SessionView>,
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

/// Open an account and log in.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = Register, responses(
    (status = 201, description = "The account is open", body = TokenAndUser),
    (status = 409, description = "Name, mail, plate or phone is taken"),
))]
pub(crate) async fn register(
    State(app): State<App>,
    headers: HeaderMap,
    extract::Json(body): extract::Json<Register>,
) -> Answer<(StatusCode, Json<TokenAndUser>)> {
    let registration = Registration {
        username: body.username,
        email: body.email,
        password: body.password,
        vehicle_number: body.vehicle_number,
        phone_number: body.phone_number,
    };
    let logged_in = accounts::register(&app, registration, user_agent(&headers)).await?;
    Ok((StatusCode::CREATED, TokenAndUser::of("welcome to Parkade", logged_in)))
}

/// Log in by mail address and password.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = LogIn, responses(
    (status = 200, description = "Logged in", body = TokenAndUser),
    (status = 401, description = "Address or password is wrong"),
))]
pub(crate) async fn log_in(
    State(app): State<App>,
    headers: HeaderMap,
    extract::Json(body): extract::Json<LogIn>,
) -> Answer<Json<TokenAndUser>> {
    let logged_in = accounts::log_in(&app, &body.email, body.password, user_agent(&headers)).await?;
    Ok(TokenAndUser::of("logged in", logged_in))
}

/// End this session; its tokens are void from now on.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, description = "Logged out", body = Message),
))]
pub(crate) async fn log_out(State(app): State<App>, CurrentUser(who): CurrentUser) -> Answer<Json<Message>> {
    accounts::log_out(&app, &who).await?;
    Ok(Json(Message { msg: "logged out" }))
}

/// Extend this session and get a new token for it.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, description = "A new token", body = Token),
))]
pub(crate) async fn refresh(State(app): State<App>, CurrentUser(who): CurrentUser) -> Answer<Json<Token>> {
    Ok(Json(Token { msg: "session extended", token: session::refresh(&app, &who).await? }))
}

/// The caller's open sessions.
#[utoipa::path(get, path = "/auth/sessions", tag = "accounts", security(("bearer" = [])), responses(
    (status = 200, description = "The newest first", body = Sessions),
))]
pub(crate) async fn list_sessions(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
) -> Answer<Json<Sessions>> {
    let sessions = session::list(&app, who.user_id).await?.into_iter().map(|session| SessionView {
        id: session.row.id,
        created_at: session.row.created_at,
        expires_at: session.row.expires_at,
        user_agent: session.row.user_agent,
        last_active_at: session.last_active_at,
        current: session.row.id == who.session_id,
    });
    Ok(Json(Sessions { msg: "your sessions", sessions: sessions.collect() }))
}

/// End one of the caller's sessions.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "accounts", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The session")), responses(
    (status = 200, description = "Ended", body = Message),
    (status = 404, description = "The caller has no such session"),
))]
pub(crate) async fn end_session(
    State(app): State<App>,
    CurrentUser(who): CurrentUser,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    session::end(&app, who.user_id, id).await?;
    Ok(Json(Message { msg: "session ended" }))
}
