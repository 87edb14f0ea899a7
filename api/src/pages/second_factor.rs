//! Turning the second factor of an account on and off, and its recovery codes.

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
        accounts::{self, Enrolment},
        second_factor,
    },
};

use super::{
    form::Form,
    qr,
    visitor::{Visitor, see},
};
use crate::{http::problem::Answer, state::ApiState};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/second-factor", get(show).post(begin))
        .route("/ui/second-factor/confirm", post(confirm))
        .route("/ui/second-factor/codes", post(renew))
        .route("/ui/second-factor/off", post(turn_off))
}

/// Where a visitor who has confirmed the session returns to.
const HERE: &str = "/ui/second-factor";

async fn page(app: &App, visitor: &Visitor) -> Result<Value> {
    let status = second_factor::status(app.db.read(), visitor.user()?.user_id).await?;
    Ok(context! { is_on => status.is_on, left => status.recovery_codes, enrolment => (), back => HERE })
}

/// The secret is shown in the answer to the password, and not again: a stolen session must not reveal it.
async fn enrolment(app: &App, visitor: &Visitor, enrolment: &Enrolment) -> Result<Value> {
    let (code, secret) = (qr::drawn(&enrolment.url)?, &enrolment.secret);
    Ok(context! { enrolment => context! { secret, code }, ..page(app, visitor).await? })
}

async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    visitor.page("second_factor.html", page(&app, &visitor).await?)
}

async fn begin(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let password = Some(form.raw("current_password").to_owned()).filter(|text| !text.is_empty());
    match accounts::begin_second_factor(&app, &visitor.user()?, password).await {
        Ok(begun) => visitor.page("second_factor.html", enrolment(&app, &visitor, &begun).await?),
        Err(error) => visitor.rejected("second_factor.html", error, &form, page(&app, &visitor).await?),
    }
}

/// After a wrong code, the form with the same secret, which comes from the page before.
async fn confirm(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let user = visitor.user()?;
    match accounts::confirm_second_factor(&app, &user, form.text("code")).await {
        Ok(codes) => codes_page(&visitor, &codes),
        Err(error @ Error::Unconfirmed { .. }) => {
            let again = accounts::enrolment(&app, &user, form.text("secret")).await?;
            visitor.rejected("second_factor.html", error, &form, enrolment(&app, &visitor, &again).await?)
        }
        Err(error) => visitor.rejected("second_factor.html", error, &form, page(&app, &visitor).await?),
    }
}

async fn renew(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    match accounts::renew_recovery_codes(&app, &visitor.user()?).await {
        Ok(codes) => codes_page(&visitor, &codes),
        Err(error) => visitor.rejected("second_factor.html", error, &form, page(&app, &visitor).await?),
    }
}

/// The only time that the codes are shown, so this is the answer itself and no redirect.
fn codes_page(visitor: &Visitor, codes: &[String]) -> Answer<Response> {
    let file = codes.iter().map(|code| format!("{code}%0A")).collect::<String>();
    visitor.page("recovery_codes.html", context! { codes => codes.to_vec(), file })
}

async fn turn_off(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    match accounts::remove_second_factor(&app, &visitor.user()?).await {
        Ok(()) => Ok(see("/ui/second-factor?done=factor-off")),
        Err(error) => visitor.rejected("second_factor.html", error, &form, page(&app, &visitor).await?),
    }
}
