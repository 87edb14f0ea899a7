//! Spots: for administrators, who see who is where, and can put a car onto a spot or end its session.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::time::wire,
    parking::{
        bookings::attendant,
        lots::spots::{self, Spot},
    },
};
use utoipa::{
    ToSchema,
    openapi::schema::{Object, ObjectBuilder, Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    auth::Admin,
    extract::{self, Path, optional_whole, present},
    paging::{Linked, PageQuery, Paging},
    problem::Answer,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_spots)).routes(routes!(read_spot, update_spot))
}

/// What an attendant says about a spot.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateSpot {
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = status)]
    status: Option<String>,
    /// Who occupies it.
    #[serde(default, deserialize_with = "optional_whole")]
    user_id: Option<i64>,
}

fn status() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["occupied", "available", "reserved"]))
        .description(Some(
            "`occupied` begins a session of the user, `available` ends it; otherwise what it is already",
        ))
        .build()
}

/// A spot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpotView {
    id: i64,
    lot_id: i64,
    /// Who is there, or comes next.
    user_id: Option<i64>,
    /// `occupied`, `reserved` or `available`.
    #[schema(example = "occupied")]
    status: &'static str,
    /// Arrival, or the begin of the next window.
    #[serde(with = "wire::option")]
    booking_time: Option<DateTime<Utc>>,
}

impl From<Spot> for SpotView {
    fn from(spot: Spot) -> Self {
        Self {
            id: spot.id,
            lot_id: spot.lot_id,
            user_id: spot.holder.map(|holder| holder.user_id),
            status: spot.status.as_str(),
            booking_time: spot.holder.map(|holder| holder.from),
        }
    }
}

/// Spots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Spots {
    msg: &'static str,
    spots: Vec<SpotView>,
}

/// One spot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneSpot {
    msg: &'static str,
    spot: SpotView,
}

/// List the spots in service of all lots.
#[utoipa::path(get, path = "/parking-spots", tag = "spots", security(("bearer" = ["admin"])), params(PageQuery), responses(
    (status = 200, description = "By id", body = Spots),
))]
pub(crate) async fn list_spots(State(app): State<App>, _: Admin, paging: Paging) -> Answer<Linked<Spots>> {
    let list = spots::list(&app, &paging.page).await?;
    let next = list.next(|spot| spot.id);
    let spots = list.items.into_iter().map(SpotView::from).collect();
    Ok(paging.answer(next, Spots { msg: "parking spots", spots }))
}

/// Read one spot.
#[utoipa::path(get, path = "/parking-spots/{id}", tag = "spots", security(("bearer" = ["admin"])),
    params(("id" = i64, Path, description = "The spot")), responses(
    (status = 200, description = "The spot", body = OneSpot),
    (status = 404, description = "There is none in service"),
))]
pub(crate) async fn read_spot(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
) -> Answer<Json<OneSpot>> {
    Ok(Json(OneSpot { msg: "parking spot", spot: spots::find(&app, id).await?.into() }))
}

/// Put a driver onto a spot, or end the session there.
///
/// The session is billed as if its driver had left without paying.
#[utoipa::path(put, path = "/parking-spots/{id}", tag = "spots", security(("bearer" = ["admin"])), request_body = UpdateSpot,
    params(("id" = i64, Path, description = "The spot")), responses(
    (status = 200, description = "The spot as it is now", body = OneSpot),
    (status = 404, description = "There is no such spot in service, or no such user"),
    (status = 409, description = "The spot or the user is not free, or only a reservation can do it"),
))]
pub(crate) async fn update_spot(
    State(app): State<App>,
    Admin(who): Admin,
    Path(id): Path<i64>,
    extract::Json(body): extract::Json<UpdateSpot>,
) -> Answer<Json<OneSpot>> {
    let status = body.status.map(|text| text.parse()).transpose();
    let status = status.map_err(|why: &str| Error::invalid("/status", why))?;
    let spot = attendant::set_spot(&app, &who, id, status, body.user_id).await?;
    Ok(Json(OneSpot { msg: "parking spot", spot: spot.into() }))
}
