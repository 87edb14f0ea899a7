//! What a stay cost, and why.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    app::App,
    base::{money::Money, time::wire},
    parking::bookings::{self, StayBill},
};
use tariff::{BillLine, Rule, TaxAmount, percent};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{auth::CurrentUser, params::Path, problem::Answer},
    state::ApiState,
};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read_bill))
}

/// The bill of a completed stay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneBill {
    msg: &'static str,
    bill: BillView,
}

/// A bill with the rule behind each amount.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bill)]
pub(crate) struct BillView {
    reservation_id: i64,
    /// In the order of the stay.
    lines: Vec<LineView>,
    /// The taxes on the lines.
    tax: Vec<TaxView>,
    /// The `cost` of the reservation: the sum of the lines and of the taxes that they do not include.
    #[schema(value_type = f64, example = 76.5)]
    total: Money,
}

/// A tax on a bill.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BillTax)]
pub(crate) struct TaxView {
    #[schema(example = "VAT")]
    name: String,
    /// The rate, as a decimal number of per cent.
    #[schema(example = "19")]
    percent: String,
    /// Whether the lines include it; otherwise it is added to them.
    included: bool,
    #[schema(value_type = f64)]
    amount: Money,
}

/// A line of a bill.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BillLine)]
pub(crate) struct LineView {
    /// `line` for a price of the tariff; `free_minutes`, `exit_grace`, `day_cap`, `24_hours_cap` and `stay_cap` for other
    /// rules of it; `rounding` for what an upgrade rounded.
    #[schema(example = "line")]
    rule: &'static str,
    /// What the rule is called.
    #[schema(example = "Hourly rate")]
    name: String,
    /// The part of the stay that the amount is for.
    #[serde(with = "wire::option")]
    from: Option<DateTime<Utc>>,
    #[serde(with = "wire::option")]
    until: Option<DateTime<Utc>>,
    /// How many steps are charged, such as hours; 1 for other amounts.
    quantity: i64,
    #[schema(value_type = f64)]
    amount: Money,
}

impl BillView {
    fn new(reservation_id: i64, stay: StayBill) -> Self {
        let price: i64 = stay.bill.lines.iter().map(|line| line.amount).sum();
        let included = price == stay.bill.total;
        let tax = stay.bill.tax.into_iter().map(|tax| TaxView::new(tax, included)).collect();
        let mut lines: Vec<LineView> = stay.bill.lines.into_iter().map(LineView::new).collect();
        if stay.rounding != Money::default() {
            let name = "Rounded by an upgrade".to_owned();
            let amount = stay.rounding;
            lines.push(LineView { rule: "rounding", name, from: None, until: None, quantity: 1, amount });
        }
        Self { reservation_id, lines, tax, total: stay.total }
    }
}

impl TaxView {
    fn new(tax: TaxAmount, included: bool) -> Self {
        let (percent, amount) = (percent(tax.per_hundred_thousand), Money::from_minor(tax.amount));
        Self { name: tax.name, percent, included, amount }
    }
}

impl LineView {
    fn new(line: BillLine) -> Self {
        Self {
            rule: match line.rule {
                Rule::FreeMinutes => "free_minutes",
                Rule::Line { .. } => "line",
                Rule::DayCap { .. } => "day_cap",
                Rule::BlockCap { .. } => "24_hours_cap",
                Rule::StayCap => "stay_cap",
                Rule::ExitGrace => "exit_grace",
            },
            name: line.name,
            from: Some(line.from),
            until: Some(line.until),
            quantity: line.quantity,
            amount: Money::from_minor(line.amount),
        }
    }
}

/// Read the bill of a completed stay, line by line.
///
/// Each line names the rule that produced it. The lines are recomputed from the tariff version or the hourly rate, the arrival and the departure that the reservation keeps.
#[utoipa::path(get, path = "/reservations/{id}/bill", tag = "bookings",
    params(("id" = i64, Path, description = "Reservation id")), responses(
    (status = 200, description = "The bill", body = OneBill),
    (status = 404, description = "You have no such reservation"),
    (status = 409, description = "The stay has not ended"),
))]
pub(crate) async fn read_bill(
    State(app): State<App>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Answer<Json<OneBill>> {
    let bill = bookings::bill(&app, &user, id).await?;
    Ok(Json(OneBill { msg: "bill", bill: BillView::new(id, bill) }))
}
