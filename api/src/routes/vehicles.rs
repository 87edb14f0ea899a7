//! The vehicles of a user.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    base::time::wire,
    parking::accounts::{self, Vehicle},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::Message,
        auth::CurrentUser,
        body,
        idempotency::{IdempotencyKey, Once, reply},
        params::Path,
        problem::Answer,
    },
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_vehicles, add_vehicle)).routes(routes!(remove_vehicle))
}

/// A new vehicle.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewVehicle {
    /// The licence plate, unique in every spelling: blanks, dashes and case do not matter.
    #[schema(min_length = 1, max_length = 20, pattern = r"^[^\x00]*$")]
    plate: String,
}

/// A vehicle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VehicleView {
    id: i64,
    /// The licence plate as it was entered.
    plate: String,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
}

impl From<Vehicle> for VehicleView {
    fn from(vehicle: Vehicle) -> Self {
        Self { id: vehicle.id, plate: vehicle.plate, created_at: vehicle.created_at }
    }
}

/// The vehicles of a user. The first one is the user's `vehicle_number`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Vehicles {
    msg: &'static str,
    vehicles: Vec<VehicleView>,
}

/// One vehicle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneVehicle {
    msg: &'static str,
    vehicle: VehicleView,
}

/// List the vehicles of a user.
///
/// Users see their own, administrators everybody's.
#[utoipa::path(get, path = "/users/{id}/vehicles", tag = "users",
    params(("id" = i64, Path, description = "User id")), responses(
    (status = 200, description = "The vehicles, the first one first", body = Vehicles),
    (status = 403, description = "Another user"),
    (status = 404, description = "No such user"),
))]
pub(crate) async fn list_vehicles(
    State(app): State<App>,
    caller: CurrentUser,
    Path(id): Path<i64>,
) -> Answer<Json<Vehicles>> {
    caller.must_be(id)?;
    let vehicles = accounts::list_vehicles(&app, id).await?.into_iter().map(VehicleView::from).collect();
    Ok(Json(Vehicles { msg: "vehicles", vehicles }))
}

/// Add a vehicle to a user, who may have up to ten.
#[utoipa::path(post, path = "/users/{id}/vehicles", tag = "users", request_body = NewVehicle,
    params(("id" = i64, Path, description = "User id"), IdempotencyKey), responses(
    (status = 201, description = "The vehicle is added", body = OneVehicle),
    (status = 403, description = "Another user"),
    (status = 404, description = "No such user"),
    (status = 409, description = "An account has this vehicle already, or the user has ten"),
))]
pub(crate) async fn add_vehicle(
    State(app): State<App>,
    caller: CurrentUser,
    Path(id): Path<i64>,
    once: Once<body::Json<NewVehicle>>,
) -> Answer<Response> {
    caller.must_be(id)?;
    let added = |vehicle: &Vehicle| {
        reply(StatusCode::CREATED, &OneVehicle { msg: "vehicle added", vehicle: vehicle.clone().into() })
    };
    let add = |body::Json(body): body::Json<NewVehicle>, keep| {
        let app = &app;
        async move { accounts::add_vehicle(app, id, &body.plate, keep).await }
    };
    once.answer(&app, caller.0.user_id, added, add).await
}

/// Remove a vehicle.
///
/// Reservations keep the plate they were made with.
///
/// If it was the first one, the next one becomes the user's `vehicle_number`.
#[utoipa::path(delete, path = "/users/{id}/vehicles/{vehicle_id}", tag = "users",
    params(("id" = i64, Path, description = "User id"), ("vehicle_id" = i64, Path, description = "Vehicle id")), responses(
    (status = 200, description = "The vehicle is removed", body = Message),
    (status = 403, description = "Another user"),
    (status = 404, description = "The user has no such vehicle"),
))]
pub(crate) async fn remove_vehicle(
    State(app): State<App>,
    caller: CurrentUser,
    Path((id, vehicle_id)): Path<(i64, i64)>,
) -> Answer<Json<Message>> {
    caller.must_be(id)?;
    accounts::remove_vehicle(&app, id, vehicle_id).await?;
    Ok(Json(Message { msg: "vehicle removed" }))
}
