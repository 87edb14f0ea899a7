//! The day at a glance, and what needs attention.

use axum::{Router, extract::State, response::Response, routing::get};
use minijinja::{Value, context};
use shared::{
    Result,
    app::App,
    base::{money::Money, page::Page},
    jobs::control,
    parking::reports::admin::{self, LotFigures, Report},
};

use super::super::{
    chart::{Bar, chart},
    visitor::Visitor,
};
use crate::{
    http::problem::Answer,
    site::{format, i18n::Language},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/admin", get(show))
}

async fn show(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    let report = admin::report(&app).await?;
    let open: Vec<&LotFigures> = report.lots.iter().filter(|lot| !lot.archived).collect();
    let (spots, free) =
        open.iter().fold((0, 0), |(spots, free), lot| (spots + lot.spots, free + lot.available));
    let today = report.days.last().map_or(Money::default(), |(_, revenue)| *revenue);
    let month = report.months.last().map_or(Money::default(), |month| month.revenue);
    let lots: Vec<Value> = open.iter().map(|lot| view(lot)).collect();
    let values = context! {
        today => today.minor(), month => month.minor(), outstanding => report.outstanding.minor(),
        parked => report.active, reserved => report.reserved, spots, taken => (spots - free).max(0), lots,
        revenue => revenue(visitor.language(), &report), warnings => warnings(&app, &report).await?,
    };
    visitor.page("admin/today.html", values)
}

fn view(lot: &LotFigures) -> Value {
    let taken = (lot.spots - lot.available).max(0);
    let percent = if lot.spots > 0 { 100 * taken / lot.spots } else { 0 };
    context! { id => lot.id, name => &lot.name, spots => lot.spots, taken, percent }
}

/// Revenue by day.
pub(super) fn revenue(language: Language, report: &Report) -> Value {
    let bars: Vec<Bar> = (report.days.iter())
        .map(|(day, revenue)| Bar {
            short: day.date.format("%-d").to_string(),
            label: format::day(language, day.date),
            amount: revenue.minor(),
            shown: format::money(language, *revenue),
        })
        .collect();
    chart("chart-revenue-days", &bars)
}

/// What needs attention: a key of the catalogue, a number, and where to look.
async fn warnings(app: &App, report: &Report) -> Result<Vec<Value>> {
    let dead = control::list_dead(app, &Page { limit: 99, after: None }).await?.items.len();
    let paused = control::list_queues(app).await?.iter().filter(|queue| queue.paused_at.is_some()).count();
    let full = report.lots.iter().filter(|lot| !lot.archived && lot.spots > 0 && lot.available <= 0).count();
    let redis = usize::from(app.redis.ping().await.is_err());
    let all = [
        ("warning-redis", redis, "/ui/admin/health"),
        ("warning-dead", dead, "/ui/admin/jobs"),
        ("warning-paused", paused, "/ui/admin/jobs"),
        ("warning-full", full, "/ui/admin/lots"),
        ("warning-unpaid", usize::from(report.outstanding > Money::default()), "/ui/admin/unpaid"),
    ];
    let found = all.into_iter().filter(|(_, count, _)| *count > 0);
    Ok(found.map(|(key, count, href)| context! { key, count, href }).collect())
}
