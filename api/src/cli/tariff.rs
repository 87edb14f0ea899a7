//! `parkade-api tariff`.

use std::{fs, path::PathBuf};

use anyhow::Context;
use chrono::NaiveDate;
use clap::Subcommand;
use shared::{
    app::App,
    base::{money::Money, plural::plural},
    operations::simulate::{Comparison, simulate},
    parking::reports::calendar::{self, Period},
    platform::config::Config,
};

use super::output::print;

#[derive(Subcommand)]
pub(super) enum Tariff {
    /// Bill the stays of a month by a tariff, and compare the revenue; changes nothing.
    Simulate {
        /// The id of the lot.
        #[arg(long)]
        lot: i64,
        /// A file with the tariff as JSON, as in POST /api/admin/lots/{id}/tariffs.
        #[arg(long)]
        tariff: PathBuf,
        /// The month in which the stays ended, such as 2026-11; last month by default.
        #[arg(long, value_parser = read_month)]
        month: Option<NaiveDate>,
    },
}

fn read_month(text: &str) -> Result<NaiveDate, String> {
    format!("{text}-01").parse().map_err(|_| "write year and month, such as 2026-11".to_owned())
}

impl Tariff {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let Self::Simulate { lot, tariff, month } = self;
        let name = tariff.display();
        let text = fs::read_to_string(&tariff).with_context(|| format!("reading {name}"))?;
        let version = serde_json::from_str(&text).with_context(|| format!("reading {name}"))?;
        let app = App::connect(config).await?;
        let month = match month {
            Some(first) => calendar::month_of(first, app.config.zone),
            None => calendar::last_month(app.clock.now(), app.config.zone),
        };
        let compared = simulate(&app, lot, version, &month).await;
        app.db.close().await;
        show(&compared?, &month)
    }
}

fn show(compared: &Comparison, month: &Period) -> anyhow::Result<()> {
    let Comparison { stays, cheaper, dearer, before, after } = *compared;
    print(&format!("{} in {}", plural(stays, "stay"), month.month_and_year()))?;
    print(&format!("before  {before}"))?;
    print(&format!("after   {after}"))?;
    let (sign, difference) = if after < before {
        ("-", before.minor() - after.minor())
    } else {
        ("+", after.minor() - before.minor())
    };
    print(&format!("change  {sign}{}", Money::from_minor(difference)))?;
    print(&format!("{cheaper} would have cost less, {dearer} more, {} the same", stays - cheaper - dearer))
}
