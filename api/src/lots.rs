//! Lots: read by everybody, opened by administrators.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    lots::{self, Lot, NewLot},
    money::Money,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::Admin,
    extract::{self, Path, number_or_text},
    problem::Answer,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_lots, create_lot))
        .routes(routes!(read_lot))
        .routes(routes!(list_free_spots))
}

/// A lot to open. Numbers may also come as text.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CreateLot {
    location_name: String,
    #[serde(deserialize_with = "number_or_text")]
    price: f64,
    address: String,
    pincode: String,
    #[serde(deserialize_with = "number_or_text")]
    number_of_slots: i64,
}

/// A lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotView {
    id: i64,
    location_name: String,
    /// Per started hour, in major units.
    #[schema(value_type = f64)]
    price: Money,
    address: String,
    pincode: String,
    number_of_slots: i64,
    available_slots: i64,
}

impl From<Lot> for LotView {
    fn from(lot: Lot) -> Self {
        Self {
            id: lot.id,
            location_name: lot.location_name,
            price: lot.price,
            address: lot.address,
            pincode: lot.pincode,
            number_of_slots: lot.number_of_slots,
            available_slots: lot.available_slots,
        }
    }
}

/// All lots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lots {
    msg: &'static str,
    lots: Vec<LotView>,
}

/// One lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneLot {
    msg: &'static str,
    lot: LotView,
}

/// A free spot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FreeSpotView {
    id: i64,
    lot_id: i64,
    status: &'static str,
}

/// The free spots of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FreeSpots {
    msg: &'static str,
    lot_name: String,
    available_spots: Vec<FreeSpotView>,
    count: usize,
}

/// Every open lot.
#[utoipa::path(get, path = "/parking-lots", tag = "lots", responses((status = 200, description = "By id", body = Lots)))]
pub(crate) async fn list_lots(State(app): State<App>) -> Answer<Json<Lots>> {
    let lots = lots::list(&app).await?.into_iter().map(LotView::from).collect();
    Ok(Json(Lots { msg: "parking lots", lots }))
}

/// One open lot.
#[utoipa::path(get, path = "/parking-lots/{id}", tag = "lots", params(("id" = i64, Path, description = "The lot")), responses(
    (status = 200, description = "The lot", body = OneLot),
    (status = 404, description = "There is none"),
))]
pub(crate) async fn read_lot(State(app): State<App>, Path(id): Path<i64>) -> Answer<Json<OneLot>> {
    Ok(Json(OneLot { msg: "parking lot", lot: lots::find(&app, id).await?.into() }))
}

/// The spots of a lot that can be booked now.
#[utoipa::path(get, path = "/parking-lots/{id}/available-spots", tag = "lots",
    params(("id" = i64, Path, description = "The lot")), responses(
    (status = 200, description = "By number", body = FreeSpots),
    (status = 404, description = "There is no such lot"),
))]
pub(crate) async fn list_free_spots(State(app): State<App>, Path(id): Path<i64>) -> Answer<Json<FreeSpots>> {
    let (lot, spots) = lots::free_spots(&app, id).await?;
    let view = |spot: lots::FreeSpot| FreeSpotView { id: spot.id, lot_id: lot.id, status: "available" };
    let available_spots: Vec<_> = spots.into_iter().map(view).collect();
    Ok(Json(FreeSpots {
        msg: "available spots",
        count: available_spots.len(),
        lot_name: lot.location_name,
        available_spots,
    }))
}

/// Open a lot with all its spots.
#[utoipa::path(post, path = "/parking-lots", tag = "lots", security(("bearer" = ["admin"])), request_body = CreateLot, responses(
    (status = 201, description = "The lot is open", body = OneLot),
))]
pub(crate) async fn create_lot(
    State(app): State<App>,
    _: Admin,
    extract::Json(body): extract::Json<CreateLot>,
) -> Answer<(StatusCode, Json<OneLot>)> {
    let price = Money::from_major(body.price).map_err(|why| Error::invalid("/price", why))?;
    let lot = lots::create(
        &app,
        NewLot {
            location_name: body.location_name,
            price,
            address: body.address,
            pincode: body.pincode,
            number_of_slots: body.number_of_slots,
        },
    )
    .await?;
    Ok((StatusCode::CREATED, Json(OneLot { msg: "parking lot created", lot: lot.into() })))
}
