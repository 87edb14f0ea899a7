//! Tariffs of lots, and their public holidays.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use shared::{
    app::App,
    base::{
        error::{Error, FieldError},
        money::Money,
        time::{self, wire},
    },
    parking::{
        rules::pricing::Terms,
        tariffs::{self, MAX_HOLIDAYS, NewTariff, Version},
    },
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        auth::Admin,
        body,
        paging::{Linked, PageQuery, Paging},
        params::Path,
        problem::Answer,
    },
    openapi::schemas::optional_instant,
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_tariffs, add_tariff))
        .routes(routes!(read_holidays, set_holidays))
}

/// A version of a tariff.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TariffVersion)]
pub(crate) struct VersionView {
    id: i64,
    /// From when stays are booked by it.
    #[serde(with = "wire")]
    valid_from: DateTime<Utc>,
    #[serde(with = "wire")]
    created_at: DateTime<Utc>,
    /// What every started hour costs, if a new price of the lot made the version.
    #[schema(value_type = Option<f64>)]
    hourly_rate: Option<Money>,
    /// One sentence for each rule.
    rules: Vec<String>,
    /// The prices, in the minor unit of the currency; null for an hourly rate.
    tariff: Option<tariff::Version>,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self {
            id: version.id,
            valid_from: version.valid_from,
            created_at: version.created_at,
            hourly_rate: version.hourly_rate,
            rules: version.terms.as_ref().map(Terms::in_words).unwrap_or_default(),
            tariff: version.terms.map(|terms| terms.tariff),
        }
    }
}

/// Versions of a tariff.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TariffVersions {
    msg: &'static str,
    versions: Vec<VersionView>,
}

/// A version of a tariff.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneTariffVersion {
    msg: &'static str,
    version: VersionView,
}

/// A new version.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = AddTariff, example = json!({ "tariff": { "currency": "INR", "free_minutes": 15, "lines": [
    { "name": "Day", "amount": 1000, "charge": { "kind": "step", "minutes": 15 } }] } }))]
pub(crate) struct AddTariff {
    /// From when stays are booked by it; now by default.
    #[serde(default)]
    #[schema(schema_with = optional_instant)]
    valid_from: Option<String>,
    /// The prices, in the minor unit of the currency. The last line must apply always.
    tariff: tariff::Version,
}

/// List the versions of a lot's tariff.
///
/// By id, also those that are still to come. A later version replaces an earlier one with the same beginning.
#[utoipa::path(get, path = "/admin/lots/{id}/tariffs", tag = "lots",
    params(("id" = i64, Path, description = "Lot id"), PageQuery), responses(
    (status = 200, description = "By id", body = TariffVersions),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn list_tariffs(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
    paging: Paging,
) -> Answer<Linked<TariffVersions>> {
    let list = tariffs::list(&app, id, &paging.page).await?;
    let next = list.next(|version| version.id);
    let versions = list.items.into_iter().map(VersionView::from).collect();
    Ok(paging.answer(next, TariffVersions { msg: "tariff versions", versions }))
}

/// Add a version to a lot's tariff.
///
/// Stays that are booked from its beginning on are billed by it; those that are booked already keep theirs. Versions never change.
#[utoipa::path(post, path = "/admin/lots/{id}/tariffs", tag = "lots",
    params(("id" = i64, Path, description = "Lot id")), request_body = AddTariff, responses(
    (status = 201, description = "The version", body = OneTariffVersion),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn add_tariff(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    body::Json(body): body::Json<AddTariff>,
) -> Answer<(StatusCode, Json<OneTariffVersion>)> {
    let read =
        |text: &str| time::parse(text, app.config.zone).map_err(|why| Error::invalid("/valid_from", why));
    let valid_from = body.valid_from.as_deref().map(read).transpose()?;
    let new = NewTariff { valid_from, tariff: body.tariff };
    let version = tariffs::add(&app, &(&admin).into(), id, new).await?.into();
    Ok((StatusCode::CREATED, Json(OneTariffVersion { msg: "tariff added", version })))
}

/// The public holidays of a lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Holidays {
    msg: &'static str,
    #[schema(value_type = Vec<String>, format = Date)]
    holidays: BTreeSet<NaiveDate>,
}

/// The public holidays of a lot: a list of days, or a calendar.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SetHolidays {
    #[serde(default)]
    #[schema(value_type = Vec<String>, format = Date, max_items = 500)]
    holidays: Vec<String>,
    /// A calendar in iCalendar format, whose days are added to the list.
    #[serde(default)]
    #[schema(max_length = 60_000)]
    calendar: Option<String>,
}

/// Read the public holidays of a lot.
#[utoipa::path(get, path = "/admin/lots/{id}/holidays", tag = "lots",
    params(("id" = i64, Path, description = "Lot id")), responses(
    (status = 200, description = "In order", body = Holidays),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn read_holidays(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<i64>,
) -> Answer<Json<Holidays>> {
    Ok(Json(Holidays { msg: "holidays", holidays: tariffs::holidays(&app, id).await? }))
}

/// Replace the public holidays of a lot.
///
/// The tariff in force and those to come get a version that knows them. Stays that are booked already keep theirs.
#[utoipa::path(put, path = "/admin/lots/{id}/holidays", tag = "lots",
    params(("id" = i64, Path, description = "Lot id")), request_body = SetHolidays, responses(
    (status = 200, description = "In order", body = Holidays),
    (status = 404, description = "No such lot"),
))]
pub(crate) async fn set_holidays(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<i64>,
    body::Json(body): body::Json<SetHolidays>,
) -> Answer<Json<Holidays>> {
    let mut days = days(&body.holidays)?;
    if let Some(text) = &body.calendar {
        let more = tariffs::calendar::days(text).map_err(|why| Error::invalid("/calendar", why))?;
        days.extend(more);
    }
    let holidays = tariffs::set_holidays(&app, &(&admin).into(), id, days).await?;
    Ok(Json(Holidays { msg: "holidays", holidays }))
}

fn days(texts: &[String]) -> Result<BTreeSet<NaiveDate>, Error> {
    let (mut days, mut wrong) = (BTreeSet::new(), Vec::new());
    for (index, text) in texts.iter().enumerate().take(MAX_HOLIDAYS + 1) {
        match text.parse::<NaiveDate>() {
            Ok(day) => drop(days.insert(day)),
            Err(_) => wrong.push(FieldError {
                pointer: format!("/holidays/{index}"),
                message: "must be a day, such as 2026-12-25".into(),
            }),
        }
    }
    if wrong.is_empty() { Ok(days) } else { Err(Error::Invalid(wrong)) }
}
