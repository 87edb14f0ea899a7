//! Lots: read by everybody; opened, changed and closed by administrators.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{AppendHeaders, Response},
};
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::{money::Money, page::Page},
    parking::{
        bookings,
        lots::{self, Lot, LotChange, NewLot},
    },
    platform::{
        cache::{Entry, Group, Recipe},
        idempotency::StoredAnswer,
    },
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Object, ObjectBuilder, SchemaType, Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::Admin,
        cached::{self, IfNoneMatch},
        extract::{
            self, Path, maybe_number_or_text, maybe_whole_or_text, number_or_text, present, whole_or_text,
        },
        idempotency::{IdempotencyKey, Once, reply},
        paging::{PageQuery, Paging},
        problem::Answer,
    },
    routes::{accounts::Message, schemas::text},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_lots, create_lot))
        .routes(routes!(read_lot, update_lot, delete_lot))
        .routes(routes!(list_free_spots))
}

/// A lot to open. Numbers may also come as text.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CreateLot {
    #[schema(schema_with = text::<100>)]
    location_name: String,
    #[serde(deserialize_with = "number_or_text")]
    #[schema(schema_with = price)]
    price: f64,
    #[schema(schema_with = text::<200>)]
    address: String,
    #[schema(schema_with = text::<10>)]
    pincode: String,
    #[serde(deserialize_with = "whole_or_text")]
    #[schema(schema_with = slots)]
    number_of_slots: i64,
}

/// What is to be different about a lot; what is missing stays as it is. Numbers may also come as text.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateLot {
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = text::<100>)]
    location_name: Option<String>,
    #[serde(default, deserialize_with = "maybe_number_or_text")]
    #[schema(schema_with = price)]
    price: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = text::<200>)]
    address: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = text::<10>)]
    pincode: Option<String>,
    #[serde(default, deserialize_with = "maybe_whole_or_text")]
    #[schema(schema_with = slots)]
    number_of_slots: Option<i64>,
}

fn price() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
        .description(Some("Per started hour, in major units"))
        .minimum(Some(0))
        .maximum(Some(10_000_000_000_i64))
        .multiple_of(Some(0.01))
        .pattern(Some(r"^[0-9]{1,9}(\.[0-9]{1,2})?$"))
        .build()
}

fn slots() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::String]))
        .minimum(Some(1))
        .maximum(Some(10_000))
        .pattern(Some("^(10000|[1-9][0-9]{0,3})$"))
        .build()
}

fn to_price(major: f64) -> Result<Money, Error> {
    Money::from_major(major).map_err(|why| Error::invalid("/price", why))
}

/// On which condition a lot is changed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; the handler reads several of them")]
pub(crate) struct IfMatch {
    /// Change it only if it is as it was read: its `ETag`.
    #[param(rename = "If-Match", value_type = String, required = false)]
    if_match: Option<String>,
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
    #[schema(example = "available")]
    status: &'static str,
}

/// The free spots of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FreeSpots {
    msg: &'static str,
    lot_name: String,
    available_spots: Vec<FreeSpotView>,
    /// All of them, also when only a part is asked for.
    count: i64,
}

/// One lot with the tag of what is shown.
type Tagged = (AppendHeaders<[(HeaderName, String); 1]>, Json<OneLot>);

fn tagged(msg: &'static str, lot: Lot) -> Tagged {
    (AppendHeaders([(header::ETAG, lots::etag(&lot))]), Json(OneLot { msg, lot: lot.into() }))
}

/// List the open lots.
#[utoipa::path(get, path = "/parking-lots", tag = "lots", params(PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = Lots),
))]
pub(crate) async fn list_lots(
    State(app): State<App>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    cached::list(&app, &headers, &paging, recipe(&app, ALL.into()), all_lots).await
}

/// What everybody asks for first.
const ALL: &str = "parking_lots:all";

async fn all_lots(app: App, page: Page) -> shared::Result<Entry> {
    let list = lots::list(&app, &page).await?;
    let next = list.next(|lot| lot.id);
    let lots = list.items.into_iter().map(LotView::from).collect();
    cached::part(next, &Lots { msg: "parking lots", lots })
}

/// Has the list of lots ready before anybody asks for it. What goes wrong is told to whoever asks first.
pub async fn warm(app: App) {
    let loader = app.clone();
    let load = move || all_lots(loader.clone(), Page::default());
    if let Err(error) = app.cache.get(recipe(&app, ALL.into()), load).await {
        tracing::debug!(error = error.chain(), "the list of lots is not warm");
    }
}

/// What shows lots depends on how administrators describe them, and on who books.
fn recipe(app: &App, key: String) -> Recipe {
    Recipe { key, groups: vec![Group::Catalog, Group::Occupancy], ttl: app.config.cache.parking }
}

/// Read one open lot.
#[utoipa::path(get, path = "/parking-lots/{id}", tag = "lots",
    params(("id" = i64, Path, description = "The lot"), IfNoneMatch), responses(
    (status = 200, description = "The lot", body = OneLot),
    (status = 404, description = "There is none"),
))]
pub(crate) async fn read_lot(
    State(app): State<App>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Answer<Response> {
    cached::answer(&app, &headers, recipe(&app, format!("parking_lot:{id}")), move |app| async move {
        let lot = lots::find(&app, id).await?;
        let etag = lots::etag(&lot);
        Ok(Entry { etag, ..cached::entry(&OneLot { msg: "parking lot", lot: lot.into() })? })
    })
    .await
}

/// List the spots of a lot that can be booked now.
#[utoipa::path(get, path = "/parking-lots/{id}/available-spots", tag = "lots",
    params(("id" = i64, Path, description = "The lot"), PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By number", body = FreeSpots),
    (status = 404, description = "There is no such lot"),
))]
pub(crate) async fn list_free_spots(
    State(app): State<App>,
    Path(id): Path<i64>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    let recipe = recipe(&app, format!("available_spots:{id}"));
    cached::list(&app, &headers, &paging, recipe, move |app, page| async move {
        let (lot, spots) = lots::free_spots(&app, id, &page).await?;
        let next = spots.next(|spot| spot.number);
        let view = |spot: lots::FreeSpot| FreeSpotView { id: spot.id, lot_id: lot.id, status: "available" };
        let available_spots: Vec<_> = spots.items.into_iter().map(view).collect();
        let body = FreeSpots {
            msg: "available spots",
            count: lot.available_slots,
            lot_name: lot.location_name,
            available_spots,
        };
        cached::part(next, &body)
    })
    .await
}

/// Open a lot with all its spots.
#[utoipa::path(post, path = "/parking-lots", tag = "lots", security(("bearer" = ["admin"])), request_body = CreateLot, params(IdempotencyKey), responses(
    (status = 201, description = "The lot is open", body = OneLot, headers(("Location"), ("ETag"))),
))]
pub(crate) async fn create_lot(
    State(app): State<App>,
    Admin(who): Admin,
    once: Once<extract::Json<CreateLot>>,
) -> Answer<Response> {
    let created = |lot: &Lot| {
        let body = OneLot { msg: "parking lot created", lot: lot.clone().into() };
        let headers = Some(format!("/api/parking-lots/{}\n{}", lot.id, lots::etag(lot)));
        Ok(StoredAnswer { headers, ..reply(StatusCode::CREATED, &body)? })
    };
    let create = async |extract::Json(body): extract::Json<CreateLot>, keep| {
        let new = NewLot {
            location_name: body.location_name,
            price: to_price(body.price)?,
            address: body.address,
            pincode: body.pincode,
            number_of_slots: body.number_of_slots,
        };
        lots::create(&app, new, keep).await
    };
    once.answer(&app, who.user_id, created, create).await
}

/// Change a lot.
///
/// More slots bring back retired spots, then add new ones. Fewer retire free spots first; one that is held leaves when its
/// last reservation ends. `available_slots` is counted and cannot be set.
#[utoipa::path(put, path = "/parking-lots/{id}", tag = "lots", security(("bearer" = ["admin"])), request_body = UpdateLot,
    params(
        ("id" = i64, Path, description = "The lot"),
        IfMatch,
    ), responses(
    (status = 200, description = "The lot as it is now", body = OneLot, headers(("ETag"))),
    (status = 404, description = "There is no such lot"),
    (status = 412, description = "It was changed since it was read; read it again"),
))]
pub(crate) async fn update_lot(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
    headers: HeaderMap,
    extract::Json(body): extract::Json<UpdateLot>,
) -> Answer<Tagged> {
    let change = LotChange {
        location_name: body.location_name,
        price: body.price.map(to_price).transpose()?,
        address: body.address,
        pincode: body.pincode,
        number_of_slots: body.number_of_slots,
    };
    let tags: Vec<_> =
        headers.get_all(header::IF_MATCH).iter().map(|tags| tags.to_str().unwrap_or_default()).collect();
    let if_match = (!tags.is_empty()).then(|| tags.join(","));
    Ok(tagged("parking lot updated", lots::update(&app, id, change, if_match.as_deref()).await?))
}

/// Close a lot for good. Its reservations keep its name.
#[utoipa::path(delete, path = "/parking-lots/{id}", tag = "lots", security(("bearer" = ["admin"])),
    params(("id" = i64, Path, description = "The lot")), responses(
    (status = 200, description = "It is closed", body = Message),
    (status = 404, description = "There is no such lot"),
    (status = 409, description = "Spots are occupied or reserved"),
))]
pub(crate) async fn delete_lot(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    bookings::archive_lot(&app, id).await?;
    Ok(Json(Message { msg: "parking lot deleted" }))
}
