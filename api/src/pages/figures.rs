//! The figures of a driver: totals, and charts by month and weekday.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use shared::{
    app::App,
    parking::reports::user::{self, Report},
};

use super::{
    chart::{Bar, chart},
    visitor::Visitor,
};
use crate::{
    http::{answers::ratio, problem::Answer},
    site::{format, i18n::Language},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/figures", get(show))
}

async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    let report = user::report(&app, visitor.user()?.user_id).await?;
    let language = visitor.language();
    let lots: Vec<Value> =
        report.favourites.iter().map(|(name, count)| context! { name, count => *count }).collect();
    let values = context! {
        bookings => report.bookings, spent => report.spent.minor(), outstanding => report.outstanding.minor(),
        hours => ratio(report.parked_micros, 3_600_000_000), lots,
        spending => spending(language, &report), arrivals => arrivals(language, &report),
        weekdays => weekdays(language, &report),
    };
    visitor.page("figures.html", values)
}

fn spending(language: Language, report: &Report) -> Value {
    let bars: Vec<Bar> = (report.months.iter())
        .map(|month| Bar::money_of_month(language, month.month.date, month.spent))
        .collect();
    chart("chart-spending", &bars)
}

fn arrivals(language: Language, report: &Report) -> Value {
    let bars: Vec<Bar> = (report.months.iter())
        .map(|month| Bar::count_of_month(language, month.month.date, month.bookings))
        .collect();
    chart("chart-arrivals", &bars)
}

fn weekdays(language: Language, report: &Report) -> Value {
    let bars: Vec<Bar> = (report.weekdays.iter().enumerate())
        .map(|(day, count)| {
            let name = language.text(&format!("weekday-{}", day + 1), None);
            Bar { short: name.clone(), label: name, amount: *count, shown: format::number(language, *count) }
        })
        .collect();
    chart("chart-weekdays", &bars)
}
