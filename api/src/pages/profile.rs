//! The account of a user: name, vehicles, address, phone, password, mails and sessions.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use minijinja::{Value, context};
use shared::{
    Error, Result,
    app::App,
    parking::{
        accounts::{self, Changes, session},
        notifications::Subscription,
        second_factor,
    },
    platform::idempotency::Idempotency,
};
use uuid::Uuid;

use super::{
    form::Form,
    visitor::{Visitor, see},
};
use crate::{
    http::{params::Path, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/profile", get(show))
        .route("/ui/profile/name", post(change_name))
        .route("/ui/profile/contact", post(change_contact))
        .route("/ui/profile/password", post(change_password))
        .route("/ui/profile/mails", post(choose_mails))
        .route("/ui/profile/vehicles", post(add_vehicle))
        .route("/ui/profile/vehicles/{id}/remove", post(remove_vehicle))
        .route("/ui/profile/sessions/{id}/end", post(end_session))
}

async fn values(app: &App, visitor: &Visitor) -> Result<Value> {
    let identity = visitor.user()?;
    let user = accounts::by_id(app, identity.user_id).await?;
    let vehicles: Vec<Value> = (accounts::list_vehicles(app, identity.user_id).await?.iter())
        .map(|vehicle| context! { id => vehicle.id, plate => &vehicle.plate })
        .collect();
    let sessions: Vec<Value> = (session::list(app, identity.user_id).await?.iter())
        .map(|session| {
            context! {
                id => session.row.id.to_string(), begun => visitor.instant(session.row.created_at),
                last => session.last_active_at.map(|at| visitor.instant(at)),
                program => session.row.user_agent.as_deref(), current => session.row.id == identity.session_id,
            }
        })
        .collect();
    let known = context! {
        username => &user.username, email => &user.email, phone_number => user.phone_number.as_deref().unwrap_or_default(),
    };
    let factor = second_factor::status(app.db.read(), identity.user_id).await?;
    Ok(context! {
        has_factor => factor.is_on, verified => user.email_verified, pending => user.pending_email.as_deref(), reminders => !user.reminders_off, reports => !user.reports_off,
        vehicles, sessions, known,
    })
}

async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    visitor.page("profile.html", values(&app, &visitor).await?)
}

/// The profile after a form, with what was done or what is wrong.
async fn after<T>(app: &App, visitor: &Visitor, form: &Form, done: Result<T>, key: &str) -> Answer<Response> {
    match done {
        Ok(_) => Ok(see(&format!("/ui/profile?done={key}"))),
        Err(error) => {
            // The page has several forms, so the name of a field is not enough.
            let values =
                context! { prefix => format!("{key}-"), section => key, ..values(app, visitor).await? };
            visitor.rejected("profile.html", error, form, values)
        }
    }
}

async fn change(app: &App, visitor: &Visitor, form: &Form, changes: Changes, key: &str) -> Answer<Response> {
    let user = visitor.user()?;
    let done = accounts::update(app, &user, user.user_id, changes).await;
    after(app, visitor, form, done, key).await
}

async fn change_name(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let changes = Changes { username: Some(form.text("username").to_owned()), ..Changes::default() };
    change(&app, &visitor, &form, changes, "name").await
}

/// The password that confirms a change.
fn current_password(form: &Form) -> Option<String> {
    Some(form.raw("current_password").to_owned()).filter(|text| !text.is_empty())
}

async fn change_contact(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let changes = Changes {
        email: Some(form.text("email").to_owned()),
        phone_number: Some(form.optional("phone_number")),
        current_password: current_password(&form),
        ..Changes::default()
    };
    change(&app, &visitor, &form, changes, "contact").await
}

async fn change_password(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let changes = Changes {
        password: Some(form.raw("password").to_owned()),
        current_password: current_password(&form),
        ..Changes::default()
    };
    change(&app, &visitor, &form, changes, "password").await
}

async fn choose_mails(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let user = visitor.user()?;
    for one in [Subscription::Reminders, Subscription::Reports] {
        one.choose(&app, user.user_id, form.is_ticked(one.name())).await?;
    }
    Ok(see("/ui/profile?done=mails"))
}

async fn add_vehicle(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let user = visitor.user()?;
    let done = accounts::add_vehicle(&app, user.user_id, form.text("plate"), Idempotency::none()).await;
    after(&app, &visitor, &form, done, "vehicle").await
}

async fn remove_vehicle(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Answer<Response> {
    accounts::remove_vehicle(&app, visitor.user()?.user_id, id).await?;
    Ok(see("/ui/profile?done=vehicle-removed"))
}

async fn end_session(State(app): State<App>, visitor: Visitor, Path(id): Path<Uuid>) -> Answer<Response> {
    match session::end(&app, visitor.user()?.user_id, id).await {
        Ok(()) | Err(Error::NotFound(_)) => Ok(see("/ui/profile?done=session")),
        Err(error) => Err(error.into()),
    }
}
