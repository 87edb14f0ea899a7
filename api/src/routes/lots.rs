//! Parking lots: anybody reads them; administrators create, change and delete them.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{AppendHeaders, Response},
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use shared::{
    Error,
    app::App,
    base::{money::Money, page::Page},
    parking::{
        bookings,
        lots::{self, Lot, LotChange, NewLot, When},
        rules::pricing::Terms,
    },
    platform::{cache::Entry, idempotency::StoredAnswer},
};
use tariff::Version;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        answers::Message,
        auth::Admin,
        body, cached,
        etag::{IfMatch, IfNoneMatch, if_match},
        fields::{
            decimal, integer_or_text, present_decimal, present_integer_or_text, present_text_or_integer,
            text_or_integer,
        },
        idempotency::{IdempotencyKey, Once, reply},
        paging::{PageQuery, Paging},
        params::{Path, Query},
        problem::Answer,
    },
    openapi::schemas::{price, slots, text},
    routes::availability::{WindowQuery, list_when, load_now, recipe},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_lots, create_lot))
        .routes(routes!(read_lot, update_lot, delete_lot))
}

/// A new lot. Numbers may also be sent as text, and texts of digits as whole numbers.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CreateLot {
    #[serde(deserialize_with = "text_or_integer")]
    #[schema(schema_with = text::<100>)]
    location_name: String,
    #[serde(deserialize_with = "decimal")]
    #[schema(schema_with = price)]
    price: String,
    #[serde(deserialize_with = "text_or_integer")]
    #[schema(schema_with = text::<200>)]
    address: String,
    #[serde(deserialize_with = "text_or_integer")]
    #[schema(schema_with = text::<10>)]
    pincode: String,
    #[serde(deserialize_with = "integer_or_text")]
    #[schema(schema_with = slots)]
    number_of_slots: i64,
}

/// Changes to a lot; missing fields stay as they are. Numbers may also be sent as text, and texts of digits as
/// whole numbers.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct UpdateLot {
    #[serde(default, deserialize_with = "present_text_or_integer")]
    #[schema(schema_with = text::<100>)]
    location_name: Option<String>,
    #[serde(default, deserialize_with = "present_decimal")]
    #[schema(schema_with = price)]
    price: Option<String>,
    #[serde(default, deserialize_with = "present_text_or_integer")]
    #[schema(schema_with = text::<200>)]
    address: Option<String>,
    #[serde(default, deserialize_with = "present_text_or_integer")]
    #[schema(schema_with = text::<10>)]
    pincode: Option<String>,
    #[serde(default, deserialize_with = "present_integer_or_text")]
    #[schema(schema_with = slots)]
    number_of_slots: Option<i64>,
}

fn to_price(amount: &str) -> Result<Money, Error> {
    Money::read(amount).map_err(|why| Error::invalid("/price", why))
}

/// A lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotView {
    id: i64,
    location_name: String,
    /// Per started hour, as a decimal in the main currency unit (25.50). A lot may have a tariff instead.
    #[schema(value_type = f64)]
    price: Money,
    address: String,
    pincode: String,
    number_of_slots: i64,
    /// Spots that are free for a driver without a reservation or, with `from` and `to`, that can be reserved then.
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

/// Lots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lots {
    msg: &'static str,
    lots: Vec<LotView>,
}

impl Lots {
    pub(crate) fn new(msg: &'static str, lots: Vec<Lot>) -> Self {
        Self { msg, lots: lots.into_iter().map(LotView::from).collect() }
    }
}

/// One lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneLot {
    msg: &'static str,
    lot: LotView,
    /// What stays that begin now are billed by; absent if every started hour costs the `price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tariff: Option<TariffView>,
}

/// The tariff of a lot.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TariffOfLot)]
pub(crate) struct TariffView {
    /// Identifies the version.
    version_id: i64,
    /// One sentence for each rule. The first price that applies at an instant is in force.
    rules: Vec<String>,
    /// The rules for programs; amounts are in the minor unit of the currency.
    tariff: Version,
    /// By whose clocks days begin.
    time_zone: &'static str,
    /// The public holidays.
    #[schema(value_type = Vec<String>, format = Date)]
    holidays: BTreeSet<NaiveDate>,
}

impl TariffView {
    pub(crate) fn new(version_id: i64, terms: &Terms) -> Self {
        Self {
            version_id,
            rules: terms.in_words(),
            tariff: terms.tariff.clone(),
            time_zone: terms.zone.name(),
            holidays: terms.holidays.clone(),
        }
    }

    fn of(lot: &Lot) -> Option<Self> {
        lot.tariff_version_id.zip(lot.terms.as_deref()).map(|(id, terms)| Self::new(id, terms))
    }
}

/// A lot after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpdatedLot {
    msg: &'static str,
    lot: LotView,
    /// Spots that leave service later, when their last reservation ends.
    retiring_slots: i64,
}

/// A changed lot with its ETag.
type Tagged = (AppendHeaders<[(HeaderName, String); 1]>, Json<UpdatedLot>);

/// List the parking lots.
#[utoipa::path(get, path = "/parking-lots", tag = "lots", params(WindowQuery, PageQuery, IfNoneMatch), responses(
    (status = 200, description = "By id", body = Lots),
))]
pub(crate) async fn list_lots(
    State(app): State<App>,
    Query(window): Query<WindowQuery>,
    headers: HeaderMap,
    paging: Paging,
) -> Answer<Response> {
    let window = window.read(&app)?;
    list_when(&app, &headers, &paging, window, WHOLE_LIST.into(), load_lots).await
}

/// The cache key of the list that every client loads first.
const WHOLE_LIST: &str = "parking_lots:all";

async fn load_lots(app: App, page: Page, when: When) -> shared::Result<Entry> {
    let list = lots::list(&app, &page, when).await?;
    let next = list.next(|lot| lot.id);
    cached::list_entry(next, &Lots::new("parking lots", list.items))
}

/// Loads the list of lots into the cache before the first request. A failure is left to that request.
pub async fn warm(app: App) {
    let loader = app.clone();
    let load = move || load_now(loader.clone(), |app, when| load_lots(app, Page::default(), when));
    if let Err(error) = app.cache.get(recipe(&app, WHOLE_LIST.into()), load).await {
        tracing::debug!(error = error.chain(), "the list of lots is not cached yet");
    }
}

/// Read one lot.
#[utoipa::path(get, path = "/parking-lots/{id}", tag = "lots",
    params(("id" = i64, Path, description = "Lot id"), IfNoneMatch), responses(
    (status = 200, description = "The lot", body = OneLot),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn read_lot(
    State(app): State<App>,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Answer<Response> {
    let load = move |app: App, when| async move {
        let lot = lots::find(&app, id, when).await?;
        let (etag, tariff) = (lots::etag(&lot), TariffView::of(&lot));
        Ok(Entry { etag, ..cached::entry(&OneLot { msg: "parking lot", lot: lot.into(), tariff })? })
    };
    let recipe = recipe(&app, format!("parking_lot:{id}"));
    cached::answer(&app, &headers, recipe, move |app| load_now(app, load)).await
}

/// Create a lot with all its spots.
#[utoipa::path(post, path = "/parking-lots", tag = "lots", request_body = CreateLot, params(IdempotencyKey), responses(
    (status = 201, description = "The lot is created", body = OneLot, headers(("Location"), ("ETag"))),
))]
pub(crate) async fn create_lot(
    State(app): State<App>,
    Admin(admin): Admin,
    once: Once<body::Json<CreateLot>>,
) -> Answer<Response> {
    let created = |lot: &Lot| {
        let body =
            OneLot { msg: "parking lot created", lot: lot.clone().into(), tariff: TariffView::of(lot) };
        let headers = Some(format!("/api/parking-lots/{}\n{}", lot.id, lots::etag(lot)));
        Ok(StoredAnswer { headers, ..reply(StatusCode::CREATED, &body)? })
    };
    let create = async |body::Json(body): body::Json<CreateLot>, keep| {
        let new = NewLot {
            location_name: body.location_name,
            price: to_price(&body.price)?,
            address: body.address,
            pincode: body.pincode,
            number_of_slots: body.number_of_slots,
        };
        lots::create(&app, &(&admin).into(), new, keep).await
    };
    once.answer(&app, admin.user_id, created, create).await
}

/// Change a lot.
///
/// With more slots, retired spots return to service before new ones are added. With fewer, free spots are retired first; an
/// occupied or reserved spot is retired when its last reservation ends. `available_slots` is counted and cannot be set.
#[utoipa::path(put, path = "/parking-lots/{id}", tag = "lots", request_body = UpdateLot,
    params(
        ("id" = i64, Path, description = "Lot id"),
        IfMatch,
    ), responses(
    (status = 200, description = "The changed lot", body = UpdatedLot, headers(("ETag"))),
    (status = 404, description = "No such lot"),
    (status = 412, description = "The lot has changed since it was read; read it again"),
))]
pub(crate) async fn update_lot(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    headers: HeaderMap,
    body::Json(body): body::Json<UpdateLot>,
) -> Answer<Tagged> {
    let change = LotChange {
        location_name: body.location_name,
        price: body.price.as_deref().map(to_price).transpose()?,
        address: body.address,
        pincode: body.pincode,
        number_of_slots: body.number_of_slots,
    };
    let lots::ChangedLot { lot, retiring_slots } =
        lots::update(&app, &(&admin).into(), id, change, if_match(&headers).as_deref()).await?;
    let etag = AppendHeaders([(header::ETAG, lots::etag(&lot))]);
    Ok((etag, Json(UpdatedLot { msg: "parking lot updated", lot: lot.into(), retiring_slots })))
}

/// Delete a lot.
///
/// Its reservations keep its name.
#[utoipa::path(delete, path = "/parking-lots/{id}", tag = "lots",
    params(("id" = i64, Path, description = "Lot id")), responses(
    (status = 200, description = "The lot is deleted", body = Message),
    (status = 404, description = "No such lot"),
    (status = 409, description = "Some spots are occupied or reserved"),
))]
pub(crate) async fn delete_lot(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
) -> Answer<Json<Message>> {
    bookings::archive_lot(&app, &(&admin).into(), id).await?;
    Ok(Json(Message { msg: "parking lot deleted" }))
}
