//! Registration, login and the user's own sessions.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::AppendHeaders,
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

use crate::{
    http::{
        answers::Message, auth::CurrentUser, body, client::Client, fields::optional_text_or_integer,
        params::Path, problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(log_out))
        .routes(routes!(refresh))
        .routes(routes!(list_sessions, end_other_sessions))
        .routes(routes!(end_session))
}

/// A new driver.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Register {
    /// The name of a person, with the characters of names: letters, digits, spaces and `. , ' - _ & ( ) "`. Unique, ignoring
    /// case and encoding (RFC 8266).
    #[schema(min_length = 1, max_length = 80, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    username: String,
    /// Used to log in; unique, ignoring case. A domain with other letters than ASCII is stored as DNS knows it
    /// (`xn--bcher-kva.example`).
    #[schema(max_length = 120, format = "email")]
    email: String,
    /// Must be hard to guess.
    #[schema(min_length = 8, max_length = 256)]
    password: String,
    /// The licence plate of the first vehicle, unique in every spelling; blank counts as none.
    #[serde(default, deserialize_with = "optional_text_or_integer")]
    #[schema(max_length = 20, pattern = r"^[^\x00]*$")]
    vehicle_number: Option<String>,
    /// Stored in E.164 (`+919876543210`) and unique in every spelling; a number without a country code is one of the
    /// installation's country. Blank counts as none.
    #[serde(default, deserialize_with = "optional_text_or_integer")]
    #[schema(max_length = 40, pattern = r"^[^\x00]*$")]
    phone_number: Option<String>,
}

/// Credentials.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct LogIn {
    email: String,
    password: String,
    /// Of accounts with a second factor: six digits, or a recovery code.
    #[serde(default)]
    #[schema(example = "287082")]
    code: Option<String>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    id: i64,
    username: String,
    email: String,
    /// Whether the user has opened a link that was mailed to the address.
    email_verified: bool,
    /// The new address, until the user opens the link that was mailed to it.
    pending_email: Option<String>,
    /// `user`, `attendant` or `admin`.
    #[schema(pattern = "^(user|attendant|admin)$", example = "user")]
    role: &'static str,
    vehicle_number: Option<String>,
    phone_number: Option<String>,
    /// Whether the user has proved the phone number with a code; SMS go to no other.
    phone_verified: bool,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            role: user.role().as_str(),
            phone_verified: user.phone_verified_at.is_some(),
            username: user.username,
            email: user.email,
            email_verified: user.email_verified,
            pending_email: user.pending_email,
            vehicle_number: user.vehicle_number,
            phone_number: user.phone_number,
        }
    }
}

/// A user with a token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenAndUser {
    msg: &'static str,
    token: String,
    user: UserView,
}

impl TokenAndUser {
    fn new(msg: &'static str, LoggedIn { user, token }: LoggedIn) -> Json<Self> {
        Json(Self { msg, token, user: user.into() })
    }
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    msg: &'static str,
    token: String,
}

/// A session: one login.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    id: Uuid,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    #[serde(with = "wire")]
    expires_at: DateTime<Utc>,
    user_agent: Option<String>,
    /// The last use, to the minute; null if unknown.
    #[serde(with = "wire::option")]
    last_active_at: Option<DateTime<Utc>>,
    /// Whether this request belongs to it.
    current: bool,
}

/// The user's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sessions {
    msg: &'static str,
    sessions: Vec<SessionView>,
}

/// Register a driver and log in.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = Register, responses(
    (status = 201, description = "Registered and logged in", body = TokenAndUser, headers(("Location"))),
    (status = 409, description = "Username, email, vehicle number or phone number is already in use"),
))]
pub(crate) async fn register(
    State(app): State<App>,
    Client(client): Client,
    body::Json(body): body::Json<Register>,
) -> Answer<(StatusCode, AppendHeaders<[(HeaderName, String); 1]>, Json<TokenAndUser>)> {
    let registration = Registration {
        username: body.username,
        email: body.email,
        password: body.password,
        vehicle_number: body.vehicle_number,
        phone_number: body.phone_number,
    };
    let logged_in = accounts::register(&app, registration, client).await?;
    let location = AppendHeaders([(header::LOCATION, format!("/api/users/{}", logged_in.user.id))]);
    Ok((StatusCode::CREATED, location, TokenAndUser::new("welcome to Parkade", logged_in)))
}

/// Log in with email and password.
///
/// Failed attempts are counted by the rate limit `login`, per address and per account and address; 100 failures of an account in an
/// hour make addresses wait from which it has not logged in for 30 days.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = LogIn, responses(
    (status = 200, description = "Logged in", body = TokenAndUser),
    (status = 401, description = "Email or password is wrong (`invalid_credentials`)"),
    (status = 403, description = "The account has a second factor: the code is missing (`second_factor_required`) or wrong (`wrong_code`)"),
))]
pub(crate) async fn log_in(
    State(app): State<App>,
    Client(client): Client,
    body::Json(body): body::Json<LogIn>,
) -> Answer<Json<TokenAndUser>> {
    let logged_in = accounts::log_in(&app, &body.email, body.password, body.code.as_deref(), client).await?;
    Ok(TokenAndUser::new("logged in", logged_in))
}

/// Log out: end this session and invalidate its tokens.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", responses(
    (status = 200, description = "Logged out", body = Message),
))]
pub(crate) async fn log_out(State(app): State<App>, CurrentUser(user): CurrentUser) -> Answer<Json<Message>> {
    accounts::log_out(&app, &user).await?;
    Ok(Json(Message { msg: "logged out" }))
}

/// Extend this session and issue a new token.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", responses(
    (status = 200, description = "A new token", body = Token),
))]
pub(crate) async fn refresh(State(app): State<App>, CurrentUser(user): CurrentUser) -> Answer<Json<Token>> {
    Ok(Json(Token { msg: "session extended", token: session::refresh(&app, &user).await? }))
}

/// List your open sessions.
#[utoipa::path(get, path = "/auth/sessions", tag = "accounts", responses(
    (status = 200, description = "Newest first", body = Sessions),
))]
pub(crate) async fn list_sessions(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Answer<Json<Sessions>> {
    let sessions = session::list(&app, user.user_id).await?.into_iter().map(|session| SessionView {
        id: session.row.id,
        created_at: session.row.created_at,
        expires_at: session.row.expires_at,
        user_agent: session.row.user_agent,
        last_active_at: session.last_active_at,
        current: session.row.id == user.session_id,
    });
    Ok(Json(Sessions { msg: "your sessions", sessions: sessions.collect() }))
}

/// End all your sessions except for this one.
#[utoipa::path(delete, path = "/auth/sessions", tag = "accounts", responses(
    (status = 200, description = "The other sessions have ended", body = Message),
))]
pub(crate) async fn end_other_sessions(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
) -> Answer<Json<Message>> {
    session::end_every_other(&app, &user).await?;
    Ok(Json(Message { msg: "all other sessions ended" }))
}

/// End one of your sessions.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "accounts",
    params(("id" = Uuid, Path, description = "Session id")), responses(
    (status = 200, description = "The session has ended", body = Message),
    (status = 404, description = "You have no such session"),
))]
pub(crate) async fn end_session(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<Uuid>,
) -> Answer<Json<Message>> {
    session::end(&app, user.user_id, id).await?;
    Ok(Json(Message { msg: "session ended" }))
}
