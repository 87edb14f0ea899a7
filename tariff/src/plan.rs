//! A version, prepared for the walk through a stay: which line is in force, and until when that cannot change.

use crate::{
    calendar::{HOLIDAY, Stretch},
    local_time::Window,
    tax::half_up,
    version::{Charge, Line, Version},
};

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const BLOCK: i64 = 24 * 60 * MINUTE;

/// How many parts of a minor unit calculations distinguish. Prices are for a divisor of 1440 minutes, so steps cost a
/// whole number of parts.
pub(crate) const PARTS: i128 = 1440;

/// What `parts` of a minor unit are in whole ones, rounded half up.
pub(crate) fn in_minor_units(parts: i128) -> i128 {
    // All usual amounts. A division of 128 bits takes as long as everything else that makes a line.
    match i64::try_from(2 * parts + PARTS) {
        Ok(doubled) => i128::from(doubled.div_euclid(2 * 1440)),
        Err(_) => half_up(parts, PARTS),
    }
}

const EVERY_DAY: u8 = u8::MAX;

/// A line of the version.
pub(crate) struct Price {
    /// Its index among the lines.
    pub(crate) line: usize,
    /// The length of a step, or `None` for a flat amount.
    pub(crate) step: Option<i64>,
    /// The price of a step or the flat amount, in [`PARTS`] of a minor unit.
    pub(crate) parts: i128,
    days: u8,
    window: Option<(i64, i64)>,
    elapsed: (i64, i64),
}

/// The lines among which the first that applies is in force.
pub(crate) struct Plan {
    prices: Vec<Price>,
    /// When windows begin and end, since midnight.
    times: Vec<i64>,
    /// When ranges of elapsed time begin and end, since the arrival.
    ages: Vec<i64>,
    has_blocks: bool,
    needs_calendar: bool,
}

impl Plan {
    /// Of the lines that are for time or flat.
    pub(crate) fn new(version: &Version) -> Self {
        Self::of(version, |charge| *charge != Charge::LostTicket)
    }

    /// Of the lines for lost tickets.
    pub(crate) fn for_lost_tickets(version: &Version) -> Self {
        Self::of(version, |charge| *charge == Charge::LostTicket)
    }

    fn of(version: &Version, is_wanted: impl Fn(&Charge) -> bool) -> Self {
        let lines = version.lines.iter().enumerate().filter(|(_, line)| is_wanted(&line.charge));
        let prices: Vec<Price> = lines.map(|(index, line)| Price::new(index, line)).collect();
        let windows = prices.iter().filter_map(|price| price.window);
        let times = windows.flat_map(|(from, to)| [from, to]).filter(|time| 0 < *time && *time < BLOCK);
        let ages = prices.iter().flat_map(|price| [price.elapsed.0, price.elapsed.1]);
        Self {
            times: sorted(times.collect()),
            ages: sorted(ages.filter(|age| 0 < *age && *age < i64::MAX).collect()),
            has_blocks: version.caps.per_24_hours.is_some(),
            needs_calendar: version.caps.per_day.is_some() || prices.iter().any(Price::is_local),
            prices,
        }
    }

    /// Whether bills depend on local days and times.
    pub(crate) const fn needs_calendar(&self) -> bool {
        self.needs_calendar
    }

    /// The line in force at an instant.
    pub(crate) fn price_at(&self, at: i64, age: i64, stretch: &Stretch) -> Option<&Price> {
        let time = at.wrapping_sub(stretch.midnight);
        self.prices.iter().find(|price| price.applies(time, age, stretch))
    }

    /// The first instant after `at` with another line in force, day or block of 24 hours, or one before.
    pub(crate) fn change_after(&self, at: i64, age: i64, stretch: &Stretch) -> i64 {
        let time = self.times.iter().find(|time| stretch.midnight + *time > at);
        let age_at_change = self.ages.iter().find(|change| **change > age);
        let block = self.has_blocks.then(|| BLOCK - age % BLOCK);
        stretch
            .until
            .min(time.map_or(i64::MAX, |time| stretch.midnight + time))
            .min(age_at_change.map_or(i64::MAX, |change| at.saturating_add(change - age)))
            .min(block.map_or(i64::MAX, |rest| at.saturating_add(rest)))
    }
}

impl Price {
    fn new(index: usize, line: &Line) -> Self {
        let (step, parts) = match line.charge {
            Charge::Step { minutes, per_minutes } => {
                // A version that nobody has validated still ends.
                let step = Some(i64::from(minutes.max(1)) * MINUTE);
                let parts = i128::from(line.amount) * PARTS;
                let share = |per: u32| parts * i128::from(minutes) / i128::from(per.max(1));
                (step, per_minutes.map_or(parts, share))
            }
            Charge::Flat | Charge::LostTicket => (None, i128::from(line.amount) * PARTS),
        };
        let elapsed = line.elapsed.map_or((0, i64::MAX), |range| {
            let to = range.to.map_or(i64::MAX, |to| i64::from(to) * MINUTE);
            (i64::from(range.from) * MINUTE, to)
        });
        let window = line.window.map(|Window { from, to }| {
            (i64::from(from.minutes()) * MINUTE, i64::from(to.minutes()) * MINUTE)
        });
        Self { line: index, step, parts, days: days(line), window, elapsed }
    }

    const fn is_local(&self) -> bool {
        self.window.is_some() || self.days != EVERY_DAY
    }

    const fn applies(&self, time: i64, age: i64, stretch: &Stretch) -> bool {
        let today = self.days & stretch.today != 0;
        let is_open = match self.window {
            None => today,
            Some((from, to)) if from < to => today && from <= time && time < to,
            Some((from, to)) => (today && from <= time) || (self.days & stretch.yesterday != 0 && time < to),
        };
        is_open && self.elapsed.0 <= age && age < self.elapsed.1
    }
}

/// The kinds of days on which a line applies, as bits.
fn days(line: &Line) -> u8 {
    let weekdays = line.weekdays.iter().map(|day| 1 << day.num_days_from_monday());
    weekdays.fold(if line.holidays { HOLIDAY } else { 0 }, |days, day: u8| days | day)
}

fn sorted(mut instants: Vec<i64>) -> Vec<i64> {
    instants.sort_unstable();
    instants.dedup();
    instants
}
