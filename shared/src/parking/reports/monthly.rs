//! A driver's figures for a calendar month.
//!
//! Hours count stays that ended in the month, bookings reservations that began in it, and amounts what was paid in it.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{
    calendar::{self, MONTHS, Period},
    user::{self, LotUse, MonthFigures},
};
use crate::{
    app::App,
    base::{
        error::{Error, Result},
        money::Money,
    },
};

/// The first day of the month before the month of `instant`.
#[must_use]
pub fn month_before(instant: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let day = instant.with_timezone(&zone).date_naive();
    let this = day.with_day(1).unwrap_or(day);
    this.checked_sub_months(Months::new(1)).unwrap_or(this)
}

/// A driver's figures for a month.
#[derive(Debug, Clone)]
pub struct Report {
    /// The month.
    pub month: Period,
    /// Its totals.
    pub this: Totals,
    /// The totals of the month before.
    pub before: Totals,
    /// The lots used, most bookings first.
    pub lots: Vec<LotUse>,
    /// The days of the month.
    pub days: Vec<MonthFigures>,
    /// The twelve months that end with it.
    pub months: Vec<MonthFigures>,
}

/// The totals of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Reservations that began in it.
    pub bookings: i64,
    /// Stays that ended in it.
    pub stays: i64,
    /// Total duration of those stays, in microseconds.
    pub micros: i64,
    /// Amount billed for them.
    pub billed: Money,
    /// Amount paid in the month.
    pub spent: Money,
}

impl Totals {
    fn of(lots: &[LotUse]) -> Self {
        Self {
            bookings: lots.iter().map(|lot| lot.bookings).sum(),
            stays: lots.iter().map(|lot| lot.stays).sum(),
            micros: lots.iter().map(|lot| lot.micros).sum(),
            billed: Money::from_minor(lots.iter().map(|lot| lot.billed).sum()),
            spent: Money::from_minor(lots.iter().map(|lot| lot.spent).sum()),
        }
    }

    /// Average cost of a stay, rounded to a minor unit.
    #[must_use]
    pub fn cost_per_stay(&self) -> Money {
        let stays = self.stays.max(1);
        Money::from_minor((self.billed.minor() + stays / 2) / stays)
    }

    /// Average duration of a stay, in microseconds.
    #[must_use]
    pub fn micros_per_stay(&self) -> i64 {
        self.micros / self.stays.max(1)
    }
}

/// A driver's report on the month that begins on `first`.
///
/// # Errors
/// [`Error::Permanent`] for a month outside the calendar.
pub async fn report(app: &App, user_id: i64, first: NaiveDate) -> Result<Report> {
    let (db, zone) = (app.db.read(), app.config.zone);
    let (months, days) = periods(first, zone)?;
    let [.., previous, month] = months.as_slice() else { return Err(outside_calendar()) };
    let (lots, lots_before, (_, days), (_, months)) = tokio::try_join!(
        user::by_lot(db, user_id, month.begins..month.ends),
        user::by_lot(db, user_id, previous.begins..previous.ends),
        user::by_month(db, user_id, &days),
        user::by_month(db, user_id, &months),
    )?;
    let (this, before) = (Totals::of(&lots), Totals::of(&lots_before));
    Ok(Report { month: *month, this, before, lots, days, months })
}

/// The months that end with this one, and the days of this one.
fn periods(first: NaiveDate, zone: Tz) -> Result<(Vec<Period>, Vec<Period>)> {
    let next = first.checked_add_months(Months::new(1)).ok_or_else(outside_calendar)?;
    let last = next.pred_opt().ok_or_else(outside_calendar)?;
    // Noon of the last day: whatever the clocks do that day, it lies within it.
    let noon = NaiveTime::MIN + TimeDelta::hours(12);
    let offset = calendar::offsets(last.and_time(noon).and_utc(), last.and_time(noon).and_utc(), zone);
    let instant = last.and_time(noon).and_utc() - offset.first().map_or(TimeDelta::zero(), |one| one.offset);
    Ok((calendar::months(instant, zone, MONTHS), calendar::days(instant, zone, last.day())))
}

fn outside_calendar() -> Error {
    Error::Permanent("no such month in the calendar".into())
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::Sao_Paulo, Asia::Kolkata, Europe::Berlin, Pacific::Apia};

    use super::*;

    #[test]
    fn previous_month_follows_the_local_calendar() {
        for (instant, zone, expected) in [
            ("2026-11-01T03:30:00Z", Kolkata, "2026-10-01"),
            ("2026-10-31T18:30:00Z", Kolkata, "2026-10-01"),
            ("2026-10-31T18:29:59Z", Kolkata, "2026-09-01"),
            ("2027-01-01T08:00:00Z", Berlin, "2026-12-01"),
            ("2026-12-31T23:30:00Z", Berlin, "2026-12-01"),
        ] {
            let month = month_before(instant.parse().unwrap(), zone);
            assert_eq!(month.to_string(), expected, "{instant} in {zone}");
        }
    }

    #[test]
    fn a_month_covers_exactly_its_days() {
        for (first, zone, days, hours) in [
            ("2026-10-01", Kolkata, 31, 31 * 24),
            ("2026-03-01", Berlin, 31, 31 * 24 - 1),
            ("2026-10-01", Berlin, 31, 31 * 24 + 1),
            ("2028-02-01", Berlin, 29, 29 * 24),
            ("2018-11-01", Sao_Paulo, 30, 30 * 24 - 1),
            ("2011-12-01", Apia, 31, 30 * 24),
        ] {
            let (months, dates) = periods(first.parse().unwrap(), zone).unwrap();
            let (month, previous) = (months[11], months[10]);
            assert_eq!((month.date.to_string().as_str(), months.len()), (first, 12));
            assert_eq!(previous.ends, month.begins);
            assert_eq!((dates.len(), dates[0].date.to_string().as_str()), (days, first));
            assert_eq!(
                (dates[0].begins, dates[days - 1].ends),
                (month.begins, month.ends),
                "{first} in {zone}"
            );
            assert_eq!((month.ends - month.begins).num_hours(), hours, "{first} in {zone}");
        }
    }

    #[test]
    fn averages_are_per_stay_and_zero_without_stays() {
        let billed = Money::from_minor(1_000);
        let totals = Totals { bookings: 4, stays: 3, micros: 9_000_000, billed, spent: Money::default() };
        assert_eq!((totals.cost_per_stay().minor(), totals.micros_per_stay()), (333, 3_000_000));
        assert_eq!((Totals::default().cost_per_stay().minor(), Totals::default().micros_per_stay()), (0, 0));
    }
}
