//! Users: administered by administrators, and each by themselves.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::page::Page,
    parking::accounts::{self, Changes, Filter, Registration, User},
    platform::cache::{Entry, Group, Recipe},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::{Admin, CurrentUser},
        cached::{self, IfNoneMatch},
        extract::{self, Path, Query, present},
        idempotency::{IdempotencyKey, Once, reply},
        paging::{PageQuery, Paging},
        problem::Answer,
    },
    routes::accounts::{Message, UserView},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_users, create_user)).routes(routes!(
        read_user,
        update_user,
        delete_user
    ))
}

/// Somebody who is to get an account.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CreateUser {
    /// Unique without regard to case.
    #[schema(min_length = 1, max_length = 80, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    username: String,
    /// The login; unique without regard to case.
    #[schema(max_length = 120, format = "email")]
    email: String,
    #[schema(min_length = 8, max_length = 256)]
    password: String,
    /// A driver (`user`) without it.
    #[schema(pattern = "^(user|admin)$")]
    role: Option<String>,
    /// The plate; unique, and none when blank.
    #[schema(max_length = 20, pattern = r"^[^\x00]*$")]
    vehicle_number: Option<String>,
    /// Unique, and none when blank.
    #[schema(max_length = 20, pattern = r"^[^\x00]*$")]
    phone_number: Option<String>,
}

/// What is to change of a user; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateUser {
    /// Unique without regard to case.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 80, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    username: Option<String>,
    /// The login; unique without regard to case.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, max_length = 120, format = "email")]
    email: Option<String>,
    /// Another one ends all sessions of the user.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 8, max_length = 256)]
    password: Option<String>,
    /// Counts from administrators only. Another one ends all sessions of the user.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, pattern = "^(user|admin)$")]
    role: Option<String>,
    /// The plate; null or a blank one takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 20, pattern = r"^[^\x00]*$")]
    vehicle_number: Option<Option<String>>,
    /// Null or a blank one takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 20, pattern = r"^[^\x00]*$")]
    phone_number: Option<Option<String>>,
}

/// All users.
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

/// Whom to look up.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LookUp {
    /// Only the user with this mail address, without regard to case.
    #[param(max_length = 120, pattern = r"^[^\x00]*$")]
    email: Option<String>,
    /// Only the user of this name, without regard to case.
    #[param(max_length = 80, pattern = r"^[^\x00]*$")]
    username: Option<String>,
}

impl LookUp {
    /// No stored text is longer or has a NUL, and PostgreSQL refuses to be asked about that.
    fn wanted(self) -> Result<Filter, Error> {
        for (name, text, most) in [("email", &self.email, 120), ("username", &self.username, 80)] {
            let Some(text) = text else { continue };
            if text.contains('\0') {
                return Err(Error::invalid(name, "must not hold a NUL character"));
            }
            if text.chars().count() > most {
                return Err(Error::invalid(name, format!("must have at most {most} characters")));
            }
        }
        Ok(Filter { email: self.email, username: self.username })
    }
}

/// Every user, or one by mail address or name.
#[utoipa::path(get, path = "/users", tag = "users", security(("bearer" = ["admin"])), params(LookUp, PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = Users),
))]
pub(crate) async fn list_users(
    State(app): State<App>,
    _: Admin,
    headers: HeaderMap,
    Query(look_up): Query<LookUp>,
    paging: Paging,
) -> Answer<Response> {
    let wanted = look_up.wanted()?;
    let key = wanted.digest().map_or_else(|| "users:all".into(), |digest| format!("user_lookup:{digest}"));
    let recipe = Recipe { key, groups: vec![Group::Users], ttl: app.config.cache.users };
    let load = move |app, page| found(app, wanted.clone(), page);
    cached::list(&app, &headers, &paging, recipe, load).await
}

async fn found(app: App, wanted: Filter, page: Page) -> shared::Result<Entry> {
    let users = accounts::list(&app, &wanted, &page).await?;
    let next = users.next(|user| user.id);
    let users = users.items.into_iter().map(UserView::from).collect();
    cached::part(next, &Users { msg: "users", users })
}

/// Open an account for somebody.
#[utoipa::path(post, path = "/users", tag = "users", security(("bearer" = ["admin"])), request_body = CreateUser, params(IdempotencyKey), responses(
    (status = 201, description = "The account is open", body = OneUser),
    (status = 409, description = "Name, mail, plate or phone is taken"),
))]
pub(crate) async fn create_user(
    State(app): State<App>,
    Admin(who): Admin,
    once: Once<extract::Json<CreateUser>>,
) -> Answer<Response> {
    let created =
        |user: &User| reply(StatusCode::CREATED, &OneUser { msg: "user created", user: user.clone().into() });
    let create = |extract::Json(body): extract::Json<CreateUser>, keep| {
        let registration = Registration {
            username: body.username,
            email: body.email,
            password: body.password,
            vehicle_number: body.vehicle_number,
            phone_number: body.phone_number,
        };
        accounts::create(&app, registration, body.role, keep)
    };
    once.answer(&app, who.user_id, created, create).await
}

/// A user: oneself, or anybody for an administrator.
#[utoipa::path(get, path = "/users/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user"), IfNoneMatch), responses(
    (status = 200, description = "The user", body = OneUser),
    (status = 403, description = "Somebody else"),
    (status = 404, description = "There is no such user"),
))]
pub(crate) async fn read_user(
    State(app): State<App>,
    who: CurrentUser,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Answer<Response> {
    who.must_be(id)?;
    let recipe =
        Recipe { key: format!("user:{id}"), groups: vec![Group::User(id)], ttl: app.config.cache.users };
    cached::answer(&app, &headers, recipe, move |app| async move {
        cached::entry(&OneUser { msg: "user", user: accounts::by_id(&app, id).await?.into() })
    })
    .await
}

/// Change a user: oneself, or anybody for an administrator.
#[utoipa::path(put, path = "/users/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")), request_body = UpdateUser, responses(
    (status = 200, description = "The user as changed", body = OneUser),
    (status = 403, description = "Somebody else"),
    (status = 404, description = "There is no such user"),
    (status = 409, description = "Name, mail, plate or phone is taken, or this is the last administrator"),
))]
pub(crate) async fn update_user(
    State(app): State<App>,
    who: CurrentUser,
    Path(id): Path<String>,
    extract::Json(body): extract::Json<UpdateUser>,
) -> Answer<Json<OneUser>> {
    let id = id.parse().map_err(|_| Error::invalid("id", "must be a whole number"))?;
    who.must_be(id)?;
    let changes = Changes {
        username: body.username,
        email: body.email,
        password: body.password,
        role: body.role,
        vehicle_number: body.vehicle_number,
        phone_number: body.phone_number,
    };
    let user = accounts::update(&app, &who.0, id, changes).await?;
    Ok(Json(OneUser { msg: "user changed", user: user.into() }))
}

/// Delete a user who is no administrator, and erase who they were.
///
/// Sessions end, what is reserved is cancelled, and what is running is billed as if it ended now. Bookings and bills
/// stay, under a name that says nothing.
#[utoipa::path(delete, path = "/users/{id}", tag = "users", security(("bearer" = ["admin"])),
    params(("id" = i64, Path, description = "The user")), responses(
    (status = 200, description = "Deleted", body = Message),
    (status = 403, description = "Not an administrator, or the user is one"),
    (status = 404, description = "There is no such user"),
))]
pub(crate) async fn delete_user(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    accounts::delete(&app, id).await?;
    Ok(Json(Message { msg: "user deleted" }))
}
