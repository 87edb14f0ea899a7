//! Users: administrators manage them all, everybody else only themselves.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::page::Page,
    parking::accounts::{self, Changes, Filter, Registration, User, session},
    platform::cache::{Entry, Group, Recipe},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::Message,
        auth::{Admin, CurrentUser},
        body::{self, OptionalJson},
        cached,
        etag::IfNoneMatch,
        fields::{nullable_text_or_integer, optional_text_or_integer, present},
        idempotency::{IdempotencyKey, Once, located},
        paging::{PageQuery, Paging},
        params::{Path, Query, UserPath},
        problem::Answer,
    },
    routes::accounts::UserView,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(read_user, update_user, delete_user))
        .routes(routes!(end_sessions))
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CreateUser {
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
    /// By default `user`, a driver.
    #[schema(pattern = "^(user|attendant|admin)$")]
    role: Option<String>,
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

/// Changes to a user; missing fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateUser {
    /// The name of a person, with the characters of names: letters, digits, spaces and `. , ' - _ & ( ) "`. Unique, ignoring
    /// case and encoding (RFC 8266).
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 80, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    username: Option<String>,
    /// Used to log in; unique, ignoring case. A domain with other letters than ASCII is stored as DNS knows it
    /// (`xn--bcher-kva.example`).
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 120, format = "email")]
    email: Option<String>,
    /// Must be hard to guess. A new password ends all sessions of the user, except for the one that sets it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 8, max_length = 256)]
    password: Option<String>,
    /// Ignored unless an administrator sends it. A new role ends all sessions of the user.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, pattern = "^(user|attendant|admin)$")]
    role: Option<String>,
    /// The licence plate of the first vehicle; null or blank removes that vehicle.
    #[serde(default, deserialize_with = "nullable_text_or_integer")]
    #[schema(value_type = Option<String>, max_length = 20, pattern = r"^[^\x00]*$")]
    vehicle_number: Option<Option<String>>,
    /// As at registration. Null or blank removes it.
    #[serde(default, deserialize_with = "nullable_text_or_integer")]
    #[schema(value_type = Option<String>, max_length = 40, pattern = r"^[^\x00]*$")]
    phone_number: Option<Option<String>>,
    /// Needed if you change your own password, mail address or phone number.
    #[serde(default)]
    current_password: Option<String>,
}

/// Users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    msg: &'static str,
    users: Vec<UserView>,
}

/// One user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneUser {
    msg: &'static str,
    user: UserView,
}

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// Only the user with this email, ignoring case.
    #[param(max_length = 120, pattern = r"^[^\x00]*$")]
    email: Option<String>,
    /// Only the user with this name, ignoring case.
    #[param(max_length = 80, pattern = r"^[^\x00]*$")]
    username: Option<String>,
}

impl UserQuery {
    /// No stored text is longer or contains NUL, and PostgreSQL rejects a query with NUL.
    fn checked(self) -> Result<Filter, Error> {
        for (name, text, most) in [("email", &self.email, 120), ("username", &self.username, 80)] {
            let Some(text) = text else { continue };
            if text.contains('\0') {
                return Err(Error::invalid(name, "must not contain a NUL character"));
            }
            if text.chars().count() > most {
                return Err(Error::invalid(name, format!("must have at most {most} characters")));
            }
        }
        Ok(Filter { email: self.email, username: self.username })
    }
}

/// List all users, or find one by email or name.
#[utoipa::path(get, path = "/users", tag = "users", params(UserQuery, PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = Users),
))]
pub(crate) async fn list_users(
    State(app): State<App>,
    _: Admin,
    headers: HeaderMap,
    Query(query): Query<UserQuery>,
    paging: Paging,
) -> Answer<Response> {
    let wanted = query.checked()?;
    let key = wanted.digest().map_or_else(|| "users:all".into(), |digest| format!("user_lookup:{digest}"));
    let recipe = Recipe { key, groups: vec![Group::Users], ttl: app.config.cache.users };
    let load = move |app, page| load_users(app, wanted.clone(), page);
    cached::list(&app, &headers, &paging, recipe, load).await
}

async fn load_users(app: App, wanted: Filter, page: Page) -> shared::Result<Entry> {
    let users = accounts::list(&app, &wanted, &page).await?;
    let next = users.next(|user| user.id);
    let users = users.items.into_iter().map(UserView::from).collect();
    cached::list_entry(next, &Users { msg: "users", users })
}

/// Create a user.
#[utoipa::path(post, path = "/users", tag = "users", request_body = CreateUser, params(IdempotencyKey), responses(
    (status = 201, description = "The user is created", body = OneUser, headers(("Location"))),
    (status = 409, description = "Username, email, vehicle number or phone number is already in use"),
))]
pub(crate) async fn create_user(
    State(app): State<App>,
    Admin(admin): Admin,
    once: Once<body::Json<CreateUser>>,
) -> Answer<Response> {
    let created = |user: &User| {
        let body = OneUser { msg: "user created", user: user.clone().into() };
        located(format!("/api/users/{}", user.id), &body)
    };
    let create = async |body::Json(body): body::Json<CreateUser>, keep| {
        let registration = Registration {
            username: body.username,
            email: body.email,
            password: body.password,
            vehicle_number: body.vehicle_number,
            phone_number: body.phone_number,
        };
        accounts::create(&app, &admin, registration, body.role, keep).await
    };
    once.answer(&app, admin.user_id, created, create).await
}

/// Read a user.
///
/// Users see themselves, administrators everybody.
#[utoipa::path(get, path = "/users/{id}", tag = "users",
    params(("id" = String, Path, description = "User id, or `me`", pattern = "^(me|[0-9]{1,18})$"), IfNoneMatch), responses(
    (status = 200, description = "The user", body = OneUser),
    (status = 403, description = "Another user"),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn read_user(
    State(app): State<App>,
    caller: CurrentUser,
    Path(user): Path<UserPath>,
    headers: HeaderMap,
) -> Answer<Response> {
    let id = caller.acting_for(user)?;
    let recipe =
        Recipe { key: format!("user:{id}"), groups: vec![Group::User(id)], ttl: app.config.cache.users };
    cached::answer(&app, &headers, recipe, move |app| async move {
        cached::entry(&OneUser { msg: "user", user: accounts::by_id(&app, id).await?.into() })
    })
    .await
}

/// Change a user.
///
/// Users change themselves, administrators everybody. A new mail address of your own counts once you open the link that is mailed to
/// it; until then it is `pending_email`.
#[utoipa::path(put, path = "/users/{id}", tag = "users",
    params(("id" = String, Path, description = "User id, or `me`", pattern = "^(me|[0-9]{1,18})$")), request_body = UpdateUser, responses(
    (status = 200, description = "The changed user", body = OneUser),
    (status = 403, description = "Another user, or the current password is missing (`current_password_required`) or wrong (`wrong_current_password`)"),
    (status = 404, description = "No such user"),
    (status = 409, description = "Username, email, vehicle number or phone number is already in use, or this is the last administrator"),
))]
pub(crate) async fn update_user(
    State(app): State<App>,
    caller: CurrentUser,
    Path(user): Path<String>,
    body::Json(body): body::Json<UpdateUser>,
) -> Answer<Json<OneUser>> {
    let user = user.try_into().map_err(|_| Error::invalid("id", "must be a whole number, or me"))?;
    let id = caller.acting_for(user)?;
    let changes = Changes {
        username: body.username,
        email: body.email,
        password: body.password,
        role: body.role,
        vehicle_number: body.vehicle_number,
        phone_number: body.phone_number,
        current_password: body.current_password,
    };
    let user = accounts::update(&app, &caller.0, id, changes).await?;
    Ok(Json(OneUser { msg: "user changed", user: user.into() }))
}

/// Proves that it is you who deletes your account.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct DeleteUser {
    /// Your password; administrators who delete somebody else need none.
    #[schema(max_length = 256)]
    current_password: Option<String>,
}

/// Delete a driver, or your own account (`me`), and erase the personal data.
///
/// Sessions end, reservations are cancelled, and a running parking session is billed as if it ended now. Past bookings and bills
/// stay under an anonymous name. Administrators cannot be deleted.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", request_body = Option<DeleteUser>,
    params(("id" = String, Path, description = "User id, or `me`", pattern = "^(me|[0-9]{1,18})$")), responses(
    (status = 200, description = "The user is deleted", body = Message),
    (status = 400, description = "The body is malformed"),
    (status = 403, description = "The password is missing or wrong, you are not an administrator, or the user is one"),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn delete_user(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(path): Path<UserPath>,
    OptionalJson(body): OptionalJson<DeleteUser>,
) -> Answer<Json<Message>> {
    match path {
        UserPath::Id(id) if user.is_admin => accounts::delete_as(&app, &user, id).await?,
        UserPath::Id(id) if id != user.user_id => {
            return Err(Error::Forbidden("only an administrator may delete somebody else").into());
        }
        _ => accounts::delete_own(&app, &user, body.current_password).await?,
    }
    Ok(Json(Message { msg: "user deleted" }))
}

/// End all sessions of a user.
#[utoipa::path(delete, path = "/users/{id}/sessions", tag = "users",
    params(("id" = i64, Path, description = "User id")), responses(
    (status = 200, description = "The sessions have ended", body = Message),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn end_sessions(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    session::end_all_of(&app, &(&admin).into(), id).await?;
    Ok(Json(Message { msg: "all sessions of the user ended" }))
}
