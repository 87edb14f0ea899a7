//! Figures about revenue, reservations and lots, as charts and tables.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use shared::{
    app::App,
    parking::reports::admin::{self, Report},
};

use super::{
    super::{
        chart::{Bar, chart},
        visitor::Visitor,
    },
    today,
};
use crate::{http::problem::Answer, site::i18n::Language, state::ApiState};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin/reports", get(show))
}

async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    let (report, language) = (admin::report(&app).await?, visitor.language());
    let lots: Vec<Value> = (report.lots.iter())
        .map(|lot| {
            context! {
                name => &lot.name, archived => lot.archived, spots => lot.spots, free => lot.available,
                reservations => lot.reservations, revenue => lot.revenue.minor(), outstanding => lot.outstanding.minor(),
            }
        })
        .collect();
    let methods: Vec<Value> =
        report.methods.iter().map(|(name, count)| context! { name, count => *count }).collect();
    let values = context! {
        revenue => report.revenue.minor(), verified => report.verified.minor(),
        declared => report.revenue.minor() - report.verified.minor(), outstanding => report.outstanding.minor(),
        completed => report.completed, drivers => report.drivers, lots, methods,
        days => today::revenue(language, &report),
        months => months(language, &report), reservations => reservations(language, &report),
    };
    visitor.page("admin/reports.html", values)
}

fn months(language: Language, report: &Report) -> Value {
    let bars: Vec<Bar> = (report.months.iter())
        .map(|month| Bar::money_of_month(language, month.month.date, month.revenue))
        .collect();
    chart("chart-revenue-months", &bars)
}

fn reservations(language: Language, report: &Report) -> Value {
    let bars: Vec<Bar> = (report.months.iter())
        .map(|month| Bar::count_of_month(language, month.month.date, month.reservations))
        .collect();
    chart("chart-reservations", &bars)
}
