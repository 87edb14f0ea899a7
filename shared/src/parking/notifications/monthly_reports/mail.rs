//! The monthly report to one driver: figures, charts, and an attached page to print.

use std::time::Duration;

use anyhow::anyhow;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::NaiveDate;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use crate::{
    base::{
        error::{Error, Result},
        money::Money,
    },
    jobs::{Context, Done, Job, Queue},
    parking::{
        notifications::{
            bulk::Audience,
            delivery::{Letter, deliver},
            format::hours,
            subscription::Subscription,
        },
        reports::{
            charts::{self, Column},
            monthly::{self, Report, Totals},
            user::MonthFigures,
        },
    },
    platform::{
        mailer::{Attachment, Inline},
        templates::Templates,
    },
};

/// Lots listed in the report.
const LOTS: usize = 5;

/// Sends a driver the report on a month.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendMonthlyReport {
    /// The driver.
    pub user_id: i64,
    /// The first day of the month.
    pub month: NaiveDate,
}

impl Job for SendMonthlyReport {
    const NAME: &'static str = Subscription::Reports.job_kind();
    const QUEUE: Queue = Queue::Mail;
    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn run(&self, context: &Context) -> Result<Done> {
        let app = &context.app;
        let Some(name) = Audience::everyone().find(app, Subscription::Reports, self.user_id).await? else {
            return Ok(Done::skipped("the user unsubscribed or was deleted"));
        };
        let report = monthly::report(app, self.user_id, self.month).await?;
        // Drawing the charts takes milliseconds of CPU time.
        let (templates, user_id) = (app.templates.clone(), self.user_id);
        let written = tokio::task::spawn_blocking(move || write(&templates, user_id, &name, &report));
        deliver(context, written.await.map_err(|error| anyhow!("writing a report: {error}"))??).await
    }
}

/// The letter with its charts and attachment. Without stays and bookings in the month, it has neither.
pub fn write(templates: &Templates, user_id: i64, name: &str, report: &Report) -> Result<Letter> {
    let month = report.month.date.format("%Y-%m");
    let letter = Letter {
        key: format!("monthly-report:{user_id}:{month}"),
        kind: "monthly_report",
        user_id,
        unsubscribe: Some(Subscription::Reports),
        ..Letter::default()
    };
    if report.lots.is_empty() {
        return Ok(Letter { values: values(report), ..letter });
    }
    let charts = charts(report)?;
    let shown = |source: fn(&Chart) -> Value| {
        let chart =
            |chart: &Chart| context! { title => &chart.title, alt => &chart.alt, source => source(chart) };
        context! { name, charts => charts.iter().map(chart).collect::<Vec<_>>(), ..values(report) }
    };
    let page = templates.page("monthly_report", shown(Chart::data))?;
    let attachment = Attachment {
        file_name: format!("parking-report-{month}.html"),
        content_type: "text/html; charset=utf-8",
        bytes: page.into_bytes(),
    };
    let values = shown(|chart| chart.picture.url().into());
    let inline = charts.into_iter().map(|chart| chart.picture).collect();
    Ok(Letter { values, attachment: Some(attachment), inline, ..letter })
}

struct Chart {
    title: String,
    /// Description of the chart in words.
    alt: String,
    picture: Inline,
}

impl Chart {
    fn of(name: &'static str, title: String, alt: String, columns: &[Column]) -> Result<Self> {
        let bytes = charts::columns(columns).map_err(|error| Error::Internal(anyhow!(error)))?;
        Ok(Self { title, alt, picture: Inline { name, content_type: "image/png", bytes } })
    }

    /// A data URL of the picture, in which nothing needs to be escaped.
    fn data(&self) -> Value {
        let Inline { content_type, bytes, .. } = &self.picture;
        Value::from_safe_string(format!("data:{content_type};base64,{}", STANDARD.encode(bytes)))
    }
}

/// A chart of the days of the month, and one of the twelve months that end with it. They show the amounts spent or, in a
/// month without payments, the bookings.
fn charts(report: &Report) -> Result<[Chart; 2]> {
    let is_spent = report.this.spent.minor() > 0;
    let what = if is_spent { "Spent" } else { "Bookings" };
    let height = |one: &MonthFigures| if is_spent { one.spent.hundredths() } else { 100 * one.bookings };
    let amount = |one: &MonthFigures| if is_spent { one.spent.to_string() } else { one.bookings.to_string() };
    let column = |one: &MonthFigures, label: Option<String>, strong| Column {
        label: label.unwrap_or_default(),
        hundredths: height(one),
        strong,
    };
    let day = |one: &MonthFigures, format| one.month.date.format(format).to_string();
    let days: Vec<Column> = (1_usize..)
        .zip(&report.days)
        .map(|(n, one)| column(one, (n == 1 || n % 5 == 0).then(|| day(one, "%-d")), true))
        .collect();
    let is_this = |one: &MonthFigures| one.month == report.month;
    let months: Vec<Column> =
        report.months.iter().map(|one| column(one, Some(one.month.short_month()), is_this(one))).collect();
    let most = report.days.iter().rev().max_by_key(|one| height(one));
    let most = most.map(|one| format!("most on {}, {}", day(one, "%-d %B"), amount(one))).unwrap_or_default();
    let each = report.months.iter().map(|one| format!("{} {}", one.month.short_month(), amount(one)));
    Ok([
        Chart::of("days", format!("{what} by day, {}", report.month.month_and_year()), most, &days)?,
        Chart::of("months", format!("{what} by month"), each.collect::<Vec<_>>().join(", "), &months)?,
    ])
}

/// The values of the templates, without the charts.
fn values(report: &Report) -> Value {
    let Report { month, this, before, .. } = report;
    let lots = report.lots.iter().take(LOTS).map(|lot| {
        let spent = Money::from_minor(lot.spent).to_string();
        context! { name => &lot.name, bookings => lot.bookings, hours => hours(lot.micros), spent }
    });
    let figure = |label: &str, of: &dyn Fn(&Totals) -> String| (label.to_owned(), of(this), of(before));
    let figures = [
        figure("Bookings", &|month| month.bookings.to_string()),
        figure("Hours parked", &|month| hours(month.micros)),
        figure("Hours per stay", &|month| hours(month.micros_per_stay())),
        figure("Spent", &|month| month.spent.to_string()),
        figure("Spent per stay", &|month| month.cost_per_stay().to_string()),
    ];
    let previous = report.months.iter().rev().nth(1).map(|month| month.month.month_and_year());
    let difference = this.spent.minor() - before.spent.minor();
    context! {
        month => month.month_and_year(),
        previous => previous.unwrap_or_default(),
        is_empty => report.lots.is_empty(),
        was_empty => *before == Totals::default(),
        bookings => this.bookings,
        spent => this.spent.to_string(),
        more => difference.signum(),
        difference => Money::from_minor(difference.abs()).to_string(),
        figures,
        lots => lots.collect::<Vec<_>>(),
        other_lots => report.lots.len().saturating_sub(LOTS),
        charts => Vec::<Value>::new(),
    }
}
