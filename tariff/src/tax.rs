//! Taxes on the total of a bill.

use serde::{Deserialize, Serialize};

const WHOLE: i128 = 100_000;

/// Which taxes there are, and whether prices include them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffTax))]
pub struct Tax {
    /// Whether they are part of the prices; otherwise, they are added to the total.
    #[serde(default)]
    pub included: bool,
    /// One for each tax, all on the same net amount.
    #[serde(default)]
    pub rates: Vec<TaxRate>,
}

/// A tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TariffTaxRate))]
pub struct TaxRate {
    /// What bills call it.
    pub name: String,
    /// In thousandths of a per cent: 8.875 % are 8875.
    pub per_hundred_thousand: u32,
}

/// What a bill contains of a tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxAmount {
    /// The name of the tax.
    pub name: String,
    /// In thousandths of a per cent.
    pub per_hundred_thousand: u32,
    /// In minor units, rounded half up.
    pub amount: i64,
}

impl Tax {
    /// The taxes on `price`, the sum of the lines.
    pub(crate) fn on(&self, price: i64) -> Vec<TaxAmount> {
        let rate_of = |rate: &TaxRate| i128::from(rate.per_hundred_thousand);
        let base = WHOLE + if self.included { self.rates.iter().map(rate_of).sum() } else { 0 };
        let amount = |rate: &TaxRate| half_up(i128::from(price) * rate_of(rate), base);
        let taxes = self.rates.iter().map(|rate| TaxAmount {
            name: rate.name.clone(),
            per_hundred_thousand: rate.per_hundred_thousand,
            amount: saturated(amount(rate)),
        });
        taxes.collect()
    }
}

/// Thousandths of a per cent as a decimal number of per cent: 8875 is `8.875`.
#[must_use]
pub fn percent(per_hundred_thousand: u32) -> String {
    let (whole, rest) = (per_hundred_thousand / 1000, per_hundred_thousand % 1000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() }
}

/// `numerator / denominator`, rounded to the nearest whole number, halves up.
pub(crate) const fn half_up(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator).div_euclid(2 * denominator)
}

/// The nearest amount that there is.
pub(crate) fn saturated(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taxes_are_rounded_half_up_for_each_rate() {
        let table: [(bool, &[u32], i64, &[i64]); 11] = [
            (false, &[], 1000, &[]),
            (false, &[19_000], 1000, &[190]),
            (true, &[19_000], 1190, &[190]),
            (true, &[19_000], 1000, &[160]), // 159.66…
            (false, &[8_875], 1000, &[89]),  // 88.75
            (false, &[18_375], 2400, &[441]),
            (false, &[500], 100, &[1]),            // 0.5
            (false, &[499], 100, &[0]),            // 0.499
            (false, &[9_000, 9_000], 50, &[5, 5]), // 4.5 each
            (true, &[9_000, 9_000], 11_800, &[900, 900]),
            (true, &[0], 1000, &[0]),
        ];
        for (included, rates, price, expected) in table {
            let rates = rates.iter().map(|rate| TaxRate { name: "VAT".into(), per_hundred_thousand: *rate });
            let taxes = Tax { included, rates: rates.collect() }.on(price);
            let amounts: Vec<i64> = taxes.iter().map(|tax| tax.amount).collect();
            assert_eq!(amounts, expected, "{price} {taxes:?}");
        }
    }

    #[test]
    fn rates_are_shown_in_per_cent() {
        for (rate, text) in [(19_000, "19"), (8_875, "8.875"), (5_500, "5.5"), (1, "0.001"), (0, "0")] {
            assert_eq!(percent(rate), text);
        }
    }

    #[test]
    fn halves_are_rounded_up() {
        for (numerator, rounded) in
            [(0, 0), (1, 0), (2, 1), (3, 1), (5, 1), (6, 2), (-1, 0), (-2, 0), (-3, -1)]
        {
            assert_eq!(half_up(numerator, 4), rounded, "{numerator} / 4");
        }
    }
}
