//! Parking spots, for administrators: who is where, and starting or ending a parking session by hand.

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

use crate::{
    http::{
        auth::Admin,
        body,
        fields::{optional_integer, present},
        paging::{Linked, PageQuery, Paging},
        params::Path,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_spots)).routes(routes!(read_spot, update_spot))
}

/// The new state of a spot.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateSpot {
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = status)]
    status: Option<String>,
    /// The user who occupies it.
    #[serde(default, deserialize_with = "optional_integer")]
    user_id: Option<i64>,
}

fn status() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["occupied", "available", "reserved"]))
        .description(Some(
            "`occupied` starts a parking session of the user, `available` ends the running one; the current status changes nothing",
        ))
        .build()
}

/// A spot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpotView {
    id: i64,
    /// The number within the lot, for people.
    spot_number: i64,
    lot_id: i64,
    /// The user who is parked there or has the next reservation.
    user_id: Option<i64>,
    /// `occupied`, `reserved` or `available`.
    #[schema(example = "occupied")]
    status: &'static str,
    /// The arrival, or the start of the next reservation.
    #[serde(with = "wire::option")]
    booking_time: Option<DateTime<Utc>>,
}

impl From<Spot> for SpotView {
    fn from(spot: Spot) -> Self {
        Self {
            id: spot.id,
            spot_number: spot.number,
            lot_id: spot.lot_id,
            user_id: spot.holder.as_ref().map(|holder| holder.user_id),
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

/// List the spots of all lots that are in service.
#[utoipa::path(get, path = "/parking-spots", tag = "spots", params(PageQuery), responses(
    (status = 200, description = "By id", body = Spots),
))]
pub(crate) async fn list_spots(State(app): State<App>, _: Admin, paging: Paging) -> Answer<Linked<Spots>> {
    let list = spots::list(&app, &paging.page).await?;
    let next = list.next(|spot| spot.id);
    let spots = list.items.into_iter().map(SpotView::from).collect();
    Ok(paging.answer(next, Spots { msg: "parking spots", spots }))
}

/// Read one spot.
#[utoipa::path(get, path = "/parking-spots/{id}", tag = "spots",
    params(("id" = i64, Path, description = "Spot id")), responses(
    (status = 200, description = "The spot", body = OneSpot),
    (status = 404, description = "No such spot in service"),
))]
pub(crate) async fn read_spot(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
) -> Answer<Json<OneSpot>> {
    Ok(Json(OneSpot { msg: "parking spot", spot: spots::find(&app, id).await?.into() }))
}

/// Start or end a parking session on a spot.
///
/// A session that ends is billed as if the driver had released the spot without naming a payment.
#[utoipa::path(put, path = "/parking-spots/{id}", tag = "spots", request_body = UpdateSpot,
    params(("id" = i64, Path, description = "Spot id")), responses(
    (status = 200, description = "The changed spot", body = OneSpot),
    (status = 404, description = "No such spot in service, or no such user"),
    (status = 409, description = "The spot is not free, the user is already parked, or the status can only be set by a reservation"),
))]
pub(crate) async fn update_spot(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    body::Json(body): body::Json<UpdateSpot>,
) -> Answer<Json<OneSpot>> {
    let status = body.status.map(|text| text.parse()).transpose();
    let status = status.map_err(|why: &str| Error::invalid("/status", why))?;
    let spot = attendant::set_spot(&app, &admin, id, status, body.user_id).await?;
    Ok(Json(OneSpot { msg: "parking spot", spot: spot.into() }))
}
