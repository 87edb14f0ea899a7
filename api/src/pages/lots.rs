//! Finding a lot, and parking there: now, or in a window.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use minijinja::{Value, context};
use serde::Deserialize;
use shared::{
    Error, Result,
    app::App,
    base::{page::Page, time},
    parking::{
        accounts,
        bookings::{self, NewReservation, Place},
        lots::{self, Lot, Moment, Sort, When},
        rules::window::Window,
    },
    platform::idempotency::Idempotency,
};

use super::{
    form::Form,
    views,
    visitor::{Visitor, see},
};
use crate::{
    http::{
        params::{Path, Query},
        problem::Answer,
    },
    site,
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/lots", get(find))
        .route("/ui/lots/{id}", get(show))
        .route("/ui/lots/{id}/book", post(book))
        .route("/ui/lots/{id}/reserve", post(reserve))
}

/// Lots on a page.
const LOTS: usize = 12;

/// What is searched. Times are those of the zone of the installation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    q: String,
    from: String,
    to: String,
    sort: String,
    page: String,
}

impl Wanted {
    /// The window, if one is wanted.
    fn window(&self, app: &App) -> Result<Option<Window>> {
        if self.from.is_empty() && self.to.is_empty() {
            return Ok(None);
        }
        let window = read_window(app, &self.from, &self.to, ["from", "to"])?;
        let problems = window.problems(app.clock.now(), app.config.parking.max_length, ["from", "to"]);
        if problems.is_empty() { Ok(Some(window)) } else { Err(Error::Invalid(problems)) }
    }

    fn sort(&self) -> Sort {
        match self.sort.as_str() {
            "price" => Sort::Price,
            "name" => Sort::Name,
            _ => Sort::Free,
        }
    }

    fn values(&self) -> Value {
        context! { q => &self.q, from => &self.from, to => &self.to, sort => &self.sort }
    }
}

fn read_window(app: &App, from: &str, to: &str, fields: [&str; 2]) -> Result<Window> {
    let read = |text: &str, field: &str| -> Result<DateTime<Utc>> {
        time::parse(text, app.config.zone).map_err(|why| Error::invalid(field, why))
    };
    match (read(from, fields[0]), read(to, fields[1])) {
        (Ok(from), Ok(to)) => Ok(Window { from, to }),
        (from, to) => {
            let errors = [from.err(), to.err()].into_iter().flatten();
            Err(Error::Invalid(
                errors
                    .flat_map(|error| if let Error::Invalid(fields) = error { fields } else { Vec::new() })
                    .collect(),
            ))
        }
    }
}

fn when(app: &App, window: Option<Window>) -> When {
    let moment = Moment::of(app);
    window.map_or(When::Now(moment), |window| When::Window(moment, window))
}

/// Lots by name, address or postal code, with their free spots now or in a window.
async fn find(State(app): State<App>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Answer<Response> {
    let (window, errors) = match wanted.window(&app) {
        Ok(window) => (window, Value::from(())),
        Err(error) => (None, site::errors(visitor.language(), &error)),
    };
    let all = lots::list(&app, &Page::default(), when(&app, window)).await?.items;
    let found = lots::search(all, &wanted.q, wanted.sort());
    let pages = found.len().div_ceil(LOTS).max(1);
    let page = wanted.page.parse().unwrap_or(1).clamp(1, pages);
    let shown: Vec<Value> =
        found.iter().skip((page - 1) * LOTS).take(LOTS).map(|lot| card(lot, window)).collect();
    let query = |page: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            [("q", &wanted.q), ("from", &wanted.from), ("to", &wanted.to), ("sort", &wanted.sort)]
        {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &page.to_string()).finish()
    };
    let values = context! {
        lots => shown, count => found.len(), page, pages, window => window.is_some(), errors, values => wanted.values(),
        previous => (page > 1).then(|| query(page - 1)), next => (page < pages).then(|| query(page + 1)),
    };
    visitor.page("lots.html", values)
}

/// A lot, and what the whole window costs there.
fn card(lot: &Lot, window: Option<Window>) -> Value {
    let quote = window.map(|window| lot.pricing().quote(window).minor());
    context! { quote, ..views::lot(lot) }
}

/// A lot, with the forms for parking now and for reserving.
async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Query(wanted): Query<Wanted>,
) -> Answer<Response> {
    let values = lot_page(&app, &visitor, id, &wanted).await?;
    let errors = wanted.window(&app).err().map(|error| site::errors(visitor.language(), &error));
    visitor.page("lot.html", context! { errors, ..values })
}

async fn lot_page(app: &App, visitor: &Visitor, id: i64, wanted: &Wanted) -> Result<Value> {
    let now = lots::find(app, id, when(app, None)).await?;
    let window = wanted.window(app).ok().flatten();
    let in_window = match window {
        Some(window) => Some(card(&lots::find(app, id, when(app, Some(window))).await?, Some(window))),
        None => None,
    };
    let hour = next_hour(app.clock.now());
    let vehicles = match visitor.identity() {
        Some(user) => accounts::list_vehicles(app, user.user_id).await?,
        None => Vec::new(),
    };
    let vehicles: Vec<Value> =
        vehicles.iter().map(|vehicle| context! { id => vehicle.id, plate => &vehicle.plate }).collect();
    let suggested = |text: &str, hours: i64| match text {
        "" => visitor.for_input(hour + TimeDelta::hours(hours)),
        text => text.to_owned(),
    };
    Ok(context! {
        lot => views::lot(&now), window => in_window, vehicles,
        values => context! { from => suggested(&wanted.from, 1), to => suggested(&wanted.to, 3) },
    })
}

/// The next full hour.
fn next_hour(now: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = now.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(3600) + 3600, 0).unwrap_or(now)
}

async fn book(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>, form: Form) -> Answer<Response> {
    let user = visitor.user()?;
    match bookings::book_spot(&app, user.user_id, id, form.number("vehicle"), Idempotency::none()).await {
        Ok(_) => Ok(see("/ui/parking?done=booked")),
        Err(error) => rejected(&app, &visitor, id, error, &form).await,
    }
}

async fn reserve(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let user = visitor.user()?;
    if form.is_ticked("check") {
        return Ok(see(&shown_in_window(id, &form)));
    }
    let reserved = async {
        let window = read_window(&app, form.text("from"), form.text("to"), ["/from", "/to"])?;
        let new = NewReservation {
            place: Place::Lot(id),
            window,
            user_id: None,
            vehicle_id: form.number("vehicle"),
        };
        bookings::reserve(&app, &user, new, Idempotency::none()).await
    };
    match reserved.await {
        Ok(_) => Ok(see("/ui/parking?done=reserved")),
        Err(error) => rejected(&app, &visitor, id, renamed(error), &form).await,
    }
}

/// The page of the lot with the price of the window. Sent on, so that no address has the token of a form.
fn shown_in_window(id: i64, form: &Form) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("from", form.text("from")).append_pair("to", form.text("to"));
    format!("/ui/lots/{id}?{}", query.finish())
}

/// The fields of the form have shorter names than those of the JSON body.
fn renamed(error: Error) -> Error {
    let Error::Invalid(mut fields) = error else { return error };
    for field in &mut fields {
        field.pointer = match field.pointer.trim_start_matches('/') {
            "parking_time" => "/from".into(),
            "leaving_time" => "/to".into(),
            other => format!("/{other}"),
        };
        field.message = field.message.replace("parking_time", "the start");
    }
    Error::Invalid(fields)
}

async fn rejected(app: &App, visitor: &Visitor, id: i64, error: Error, form: &Form) -> Answer<Response> {
    let wanted = Wanted { from: form.text("from").into(), to: form.text("to").into(), ..Wanted::default() };
    let page = lot_page(app, visitor, id, &wanted).await?;
    visitor.rejected("lot.html", error, form, page)
}
