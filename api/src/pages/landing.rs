//! The first page, and the choice of a language.

use axum::{
    Router,
    extract::State,
    http::header,
    response::Response,
    routing::{get, post},
};
use minijinja::{Value, context};
use shared::{
    app::App,
    parking::lots::{self, Moment, Sort, When},
};

use super::{
    form::Form,
    views,
    visitor::{Visitor, home, local, see},
};
use crate::{
    http::{cookies::Cookie, problem::Answer},
    site::i18n::Language,
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui", get(show)).route("/ui/language", post(choose_language))
}

/// Lots on the first page.
const LOTS: usize = 3;

/// Logged-in users go on to what they came for.
async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    if let Some(identity) = visitor.identity() {
        return Ok(see(home(&identity)));
    }
    let all = lots::list(&app, &shared::base::page::Page::default(), When::Now(Moment::of(&app))).await?;
    let free: i64 = all.items.iter().map(|lot| lot.available_slots).sum();
    let count = all.items.len();
    let best = lots::search(all.items, "", Sort::Free);
    let best: Vec<Value> = best.iter().take(LOTS).map(views::lot).collect();
    visitor.page("landing.html", context! { lots => best, free, count })
}

async fn choose_language(State(app): State<App>, form: Form) -> Response {
    let mut response = see(local(form.text("next")));
    if let Some(language) = Language::tagged(form.text("lang")) {
        let cookie = Cookie::Language.set(&app.config, language.tag());
        response.headers_mut().extend(cookie.map(|line| (header::SET_COOKIE, line)));
    }
    response
}
