//! Free spots of a lot, now or in a window.

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::{
        money::Money,
        page::Page,
        time::{self, wire},
    },
    parking::{
        lots::{self, Moment, When},
        rules::window::Window,
    },
    platform::cache::{Entry, Group, Recipe},
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::path::{Parameter, ParameterBuilder, ParameterIn},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        cached,
        etag::IfNoneMatch,
        paging::{PageQuery, Paging},
        params::{Path, Query},
        problem::Answer,
    },
    openapi::schemas::instant,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_free_spots)).routes(routes!(read_availability))
}

/// A window for which free spots are counted.
#[derive(Debug, Deserialize)]
pub(crate) struct WindowQuery {
    from: Option<String>,
    to: Option<String>,
}

impl IntoParams for WindowQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, description: &str| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.description(Some(description)).schema(Some(instant())).build()
        };
        vec![
            parameter(
                "from",
                "The start of a window. Give both ends, or neither for spots that are free now",
            ),
            parameter("to", "The end of the window"),
        ]
    }
}

impl WindowQuery {
    pub(super) fn read(self, app: &App) -> Result<Option<Window>, Error> {
        let (from, to) = match (self.from, self.to) {
            (None, None) => return Ok(None),
            (Some(from), Some(to)) => (from, to),
            (None, Some(_)) => return Err(Error::invalid("from", "is required with to")),
            (Some(_), None) => return Err(Error::invalid("to", "is required with from")),
        };
        let read =
            |name, text: &str| time::parse(text, app.config.zone).map_err(|why| Error::invalid(name, why));
        let window = Window { from: read("from", &from)?, to: read("to", &to)? };
        let problems = window.problems(app.clock.now(), app.config.parking.max_length, ["from", "to"]);
        if problems.is_empty() { Ok(Some(window)) } else { Err(Error::Invalid(problems)) }
    }
}

/// Answers about lots depend on what administrators change, and on every booking.
pub(super) fn recipe(app: &App, key: String) -> Recipe {
    Recipe { key, groups: vec![Group::Catalog, Group::Occupancy], ttl: app.config.cache.parking }
}

/// A list of what is free: now, from the cache, or in a window.
pub(super) async fn list_when<F>(
    app: &App,
    headers: &HeaderMap,
    paging: &Paging,
    window: Option<Window>,
    key: String,
    load: impl Fn(App, Page, When) -> F + Clone + Send + Sync + 'static,
) -> Answer<Response>
where
    F: Future<Output = shared::Result<Entry>> + Send + 'static,
{
    if let Some(window) = window {
        let entry = load(app.clone(), paging.page.clone(), When::Window(Moment::of(app), window)).await?;
        return Ok(cached::list_response(headers, paging, entry));
    }
    cached::list(app, headers, paging, recipe(app, key), move |app, page| {
        let load = load.clone();
        load_now(app, move |app, when| load(app, page, when))
    })
    .await
}

/// What is free now. The answer ends when the next window becomes due, or ends.
pub(super) async fn load_now<F>(app: App, load: impl FnOnce(App, When) -> F) -> shared::Result<Entry>
where
    F: Future<Output = shared::Result<Entry>>,
{
    let moment = Moment::of(&app);
    let entry = load(app.clone(), When::Now(moment)).await?;
    Ok(cached::until(lots::next_boundary(&app, moment).await?, entry))
}

/// A free spot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FreeSpot {
    id: i64,
    /// The number within the lot, for people.
    spot_number: i64,
    lot_id: i64,
    #[schema(example = "available")]
    status: &'static str,
}

/// The free spots of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FreeSpots {
    msg: &'static str,
    lot_name: String,
    available_spots: Vec<FreeSpot>,
    /// The number of free spots, on all pages.
    count: i64,
}

/// List the free spots of a lot.
#[utoipa::path(get, path = "/parking-lots/{id}/available-spots", tag = "lots",
    params(("id" = i64, Path, description = "Lot id"), WindowQuery, PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By spot number", body = FreeSpots),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn list_free_spots(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(window): Query<WindowQuery>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    let window = window.read(&app)?;
    let load = move |app, page, when| load_free_spots(app, id, page, when);
    list_when(&app, &headers, &paging, window, format!("available_spots:{id}"), load).await
}

async fn load_free_spots(app: App, id: i64, page: Page, when: When) -> shared::Result<Entry> {
    let (lot, spots) = lots::free_spots(&app, id, &page, when).await?;
    let next = spots.next(|spot| spot.number);
    let view = |spot: lots::FreeSpot| FreeSpot {
        id: spot.id,
        spot_number: spot.number,
        lot_id: lot.id,
        status: "available",
    };
    let available_spots: Vec<_> = spots.items.into_iter().map(view).collect();
    let body = FreeSpots {
        msg: "available spots",
        count: lot.available_slots,
        lot_name: lot.location_name,
        available_spots,
    };
    cached::list_entry(next, &body)
}

/// The free spots of a lot in a window, and what a stay for the whole window costs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Availability {
    msg: &'static str,
    lot_id: i64,
    #[serde(with = "wire")]
    from: DateTime<Utc>,
    #[serde(with = "wire")]
    to: DateTime<Utc>,
    /// Spots that can be reserved for this window.
    available_slots: i64,
    /// The price of the window. The bill counts started hours from the arrival.
    #[schema(value_type = f64)]
    quote: Money,
}

/// Ask how many spots of a lot can be reserved for a window, and for its price.
#[utoipa::path(get, path = "/parking-lots/{id}/availability", tag = "lots",
    params(("id" = i64, Path, description = "Lot id"), WindowQuery), responses(
    (status = 200, description = "Free spots and price", body = Availability),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn read_availability(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(window): Query<WindowQuery>,
) -> Answer<Json<Availability>> {
    let window = window.read(&app)?.ok_or_else(|| Error::invalid("from", "is required, like to"))?;
    let lot = lots::find(&app, id, When::Window(Moment::of(&app), window)).await?;
    Ok(Json(Availability {
        msg: "availability",
        lot_id: lot.id,
        from: window.from,
        to: window.to,
        available_slots: lot.available_slots,
        quote: lot.pricing().quote(window),
    }))
}
