//! Bar charts as SVG, with the same figures as a table behind. Pure.

use chrono::NaiveDate;
use minijinja::{Value, context};
use shared::base::money::Money;

use crate::site::{format, i18n::Language};

/// A bar.
pub(super) struct Bar {
    /// Below it, where there is room.
    pub(super) short: String,
    /// In the table.
    pub(super) label: String,
    /// Its height.
    pub(super) amount: i64,
    /// The amount for people.
    pub(super) shown: String,
}

impl Bar {
    /// An amount of the month of this day.
    pub(super) fn money_of_month(language: Language, day: NaiveDate, amount: Money) -> Self {
        Self::of_month(language, day, amount.minor(), format::money(language, amount))
    }

    /// A number for the month of this day.
    pub(super) fn count_of_month(language: Language, day: NaiveDate, count: i64) -> Self {
        Self::of_month(language, day, count, format::number(language, count))
    }

    fn of_month(language: Language, day: NaiveDate, amount: i64, shown: String) -> Self {
        let (short, label) = (format::short_month(language, day), format::month(language, day));
        Self { short, label, amount, shown }
    }
}

const WIDTH: i64 = 640;
/// Of a chart with more bars than labels, which has the page for itself.
const WIDE: i64 = 1300;
const HEIGHT: i64 = 180;
/// The lowest bar of an amount that is not zero.
const LOWEST: i64 = 2;
/// So many labels fit below the bars.
const LABELS: usize = 15;

/// What the template `parts.html` draws. `key` names the chart in the catalogue and in the page.
pub(super) fn chart(key: &str, bars: &[Bar]) -> Value {
    let most = bars.iter().map(|bar| bar.amount).max().unwrap_or(0).max(1);
    let wide = if bars.len() > LABELS { WIDE } else { WIDTH };
    let step = wide / i64::try_from(bars.len().max(1)).unwrap_or(1);
    let width = (step * 7 / 10).max(3);
    let every = bars.len().div_ceil(LABELS).max(1);
    let drawn: Vec<Value> = (0_i64..)
        .zip(bars)
        .map(|(place, bar)| {
            let height = match bar.amount {
                ..=0 => 0,
                amount => (HEIGHT * amount / most).max(LOWEST),
            };
            let x = place * step + (step - width) / 2;
            let is_labelled = usize::try_from(place).is_ok_and(|place| place.is_multiple_of(every));
            context! {
                x, y => HEIGHT - height, width, height, middle => x + width / 2, is_labelled,
                short => &bar.short, label => &bar.label, shown => &bar.shown,
            }
        })
        .collect();
    let is_empty = bars.iter().all(|bar| bar.amount <= 0);
    context! { key, bars => drawn, is_empty, view => format!("0 0 {wide} {}", HEIGHT + 24), base => HEIGHT, wide }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_amounts() {
        let bar =
            |amount: i64| Bar { short: "s".into(), label: "l".into(), amount, shown: amount.to_string() };
        let chart = chart("revenue", &[bar(0), bar(1), bar(500), bar(1000)]);
        let heights: Vec<i64> = (chart.get_attr("bars").unwrap().try_iter().unwrap())
            .map(|bar| bar.get_attr("height").unwrap().try_into().unwrap())
            .collect();
        assert_eq!(heights, [0, LOWEST, HEIGHT / 2, HEIGHT]);
        assert!(super::chart("none", &[]).get_attr("is_empty").unwrap().is_true());
    }
}
