//! Users for operators.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use serde::Deserialize;
use shared::{
    app::App,
    base::page::{Page, Paged},
    parking::accounts::{self, Filter, User},
};

use super::super::{views::ROWS, visitor::Visitor};
use crate::{
    http::{params::Query, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin/users", get(list))
}

/// The longest text that is searched; no stored one is longer.
const LONGEST: usize = 120;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    after: String,
}

async fn list(
    State(app): State<App>,
    visitor: Visitor,
    Query(Wanted { q, after }): Query<Wanted>,
) -> Answer<Response> {
    let page = Page { limit: ROWS, after: after.parse().ok() };
    let users = find(&app, q.trim(), &page).await?;
    let next = users.next(|user| user.id);
    let rows: Vec<Value> = (users.items.iter())
        .map(|user| {
            context! {
                id => user.id, name => &user.username, email => &user.email, role => &user.role,
                verified => user.email_verified, phone => user.phone_number.as_deref(),
                plate => user.vehicle_number.as_deref(), since => visitor.instant(user.created_at),
                last => user.last_login_at.map(|at| visitor.instant(at)),
            }
        })
        .collect();
    let values = context! { q => &q };
    visitor.page("admin/users.html", context! { rows, next, first => !after.is_empty(), values })
}

/// All users, or the one with this mail address or name.
async fn find(app: &App, text: &str, page: &Page) -> shared::Result<Paged<User>> {
    if text.contains('\0') || text.chars().count() > LONGEST {
        return Ok(Paged { items: Vec::new(), more: false });
    }
    let filter = match text {
        "" => Filter::default(),
        text if text.contains('@') => Filter { email: Some(text.to_owned()), username: None },
        text => Filter { email: None, username: Some(text.to_owned()) },
    };
    accounts::list(app, &filter, page).await
}
