//! A driver's figures summed up in a few sentences. Pure.

use super::user::Report;
use crate::base::money::Money;

/// The weekdays, in the order of [`Report::weekdays`].
pub const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// An hour of the day on a 12-hour clock: `6 AM`, `12 PM`.
#[must_use]
pub fn hour_label(hour: usize) -> String {
    let half = if hour % 24 < 12 { "AM" } else { "PM" };
    format!("{} {half}", (hour + 11) % 12 + 1)
}

/// Sentences about the usual weekday, time, duration and lot, and about the last two months. Empty without bookings.
#[must_use]
pub fn insights(report: &Report) -> Vec<String> {
    [weekday(report), hours(report), stay(report), lot(report), change(report)]
        .into_iter()
        .flatten()
        .collect()
}

fn weekday(report: &Report) -> Option<String> {
    let (day, n) = peak(&report.weekdays)?;
    Some(format!("You park most often on {}s: {n} of {} bookings.", WEEKDAYS[day], report.bookings))
}

/// The busiest three consecutive hours, which may span midnight.
fn hours(report: &Report) -> Option<String> {
    let band: [i64; 24] =
        std::array::from_fn(|hour| (hour..hour + 3).map(|one| report.hours[one % 24]).sum());
    let (from, n) = peak(&band)?;
    let (from, until) = (hour_label(from), hour_label(from + 3));
    Some(format!("You usually arrive between {from} and {until}: {n} of {} bookings.", report.bookings))
}

fn stay(report: &Report) -> Option<String> {
    const TYPICAL: [&str; 6] = [
        "less than an hour",
        "one to two hours",
        "two to four hours",
        "four to six hours",
        "six to eight hours",
        "more than eight hours",
    ];
    let (typical, n) = peak(&report.durations)?;
    Some(format!("A typical stay takes {}: {n} of {} sessions.", TYPICAL[typical], report.completed))
}

fn lot(report: &Report) -> Option<String> {
    let (name, n) = report.favourites.first()?;
    Some(format!("Your favourite parking lot is {name}, with {n} of {} bookings.", report.bookings))
}

fn change(report: &Report) -> Option<String> {
    let [.., before, current] = report.months.as_slice() else { return None };
    let (was, is) = (before.spent, current.spent);
    let (current, before) = (current.month.date.format("%B"), before.month.date.format("%B"));
    let difference = Money::from_minor((is.minor() - was.minor()).abs());
    match is.cmp(&was) {
        _ if was == Money::default() && is == was => None,
        std::cmp::Ordering::Greater => {
            Some(format!("You have spent {difference} more in {current} so far than in all of {before}."))
        }
        std::cmp::Ordering::Less => {
            Some(format!("You have spent {difference} less in {current} so far than in all of {before}."))
        }
        std::cmp::Ordering::Equal => {
            Some(format!("You have spent as much in {current} so far as in all of {before}."))
        }
    }
}

/// The index and value of the first maximum, unless all are zero.
fn peak(counts: &[i64]) -> Option<(usize, i64)> {
    let largest = *counts.iter().max().filter(|largest| **largest > 0)?;
    counts.iter().position(|count| *count == largest).map(|place| (place, largest))
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Kolkata;

    use super::*;
    use crate::parking::reports::{calendar, user::MonthFigures};

    fn report(last: i64, this: i64) -> Report {
        let months = calendar::months("2026-11-20T12:00:00Z".parse().unwrap(), Kolkata, 2);
        let spent = [last, this].map(Money::from_minor);
        let months = months.iter().zip(spent);
        Report {
            bookings: 10,
            completed: 9,
            favourites: vec![("Main Street".into(), 7), ("Park".into(), 3)],
            months: months.map(|(month, spent)| MonthFigures { month: *month, bookings: 1, spent }).collect(),
            weekdays: [0, 4, 1, 4, 1, 0, 0],
            hours: std::array::from_fn(|hour| match hour {
                23 => 3,
                0 => 2,
                9 => 4,
                _ => 0,
            }),
            durations: [1, 0, 0, 0, 3, 5],
            ..Report::default()
        }
    }

    #[test]
    fn figures_become_sentences() {
        assert_eq!(
            insights(&report(1_000, 2_550)),
            [
                "You park most often on Tuesdays: 4 of 10 bookings.",
                "You usually arrive between 10 PM and 1 AM: 5 of 10 bookings.",
                "A typical stay takes more than eight hours: 5 of 9 sessions.",
                "Your favourite parking lot is Main Street, with 7 of 10 bookings.",
                "You have spent ₹15.50 more in November so far than in all of October.",
            ]
        );
    }

    #[test]
    fn months_are_compared_by_amount() {
        let last = |last, this| insights(&report(last, this)).pop().unwrap();
        assert_eq!(last(550, 50), "You have spent ₹5.00 less in November so far than in all of October.");
        assert_eq!(last(550, 550), "You have spent as much in November so far as in all of October.");
        assert!(last(0, 0).starts_with("Your favourite"), "nothing to compare");
    }

    #[test]
    fn no_insights_without_bookings() {
        assert!(insights(&Report::default()).is_empty());
    }

    #[test]
    fn hours_use_a_12_hour_clock() {
        let labels = [0, 6, 11, 12, 13, 23, 24].map(hour_label);
        assert_eq!(labels, ["12 AM", "6 AM", "11 AM", "12 PM", "1 PM", "11 PM", "12 AM"]);
    }
}
