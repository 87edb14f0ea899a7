//! Random tariffs, and the stays of a simulated year.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tariff::{Caps, Charge, Elapsed, Line, LocalTime, Tax, TaxRate, Version, Window};

pub(crate) const ZONES: [Tz; 6] = [
    Tz::Asia__Kolkata,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Santiago,
    Tz::Australia__Lord_Howe,
    Tz::America__St_Johns,
];

pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn version(&mut self) -> Version {
        let mut lines: Vec<Line> = (0..self.0.random_range(0..7)).map(|_| self.line()).collect();
        let charge = match self.charge() {
            Charge::LostTicket => Charge::every(60),
            charge => charge,
        };
        lines.push(Line::always("Otherwise", self.amount(), charge));
        let tax = Tax { included: self.0.random(), rates: self.maybe(0.3, Self::rate).into_iter().collect() };
        let caps = Caps {
            per_day: self.maybe(0.4, Self::cap),
            per_24_hours: self.maybe(0.4, Self::cap),
            per_stay: self.maybe(0.3, Self::cap),
        };
        Version {
            currency: "EUR".into(),
            free_minutes: self.maybe(0.3, |random| random.0.random_range(1..60)).unwrap_or(0),
            exit_grace_minutes: self.maybe(0.3, |random| random.0.random_range(1..30)).unwrap_or(0),
            lines,
            caps,
            tax,
        }
    }

    pub(crate) fn zone(&mut self) -> Tz {
        *ZONES.choose(&mut self.0).unwrap()
    }

    /// A dozen of days in 2026.
    pub(crate) fn holidays(&mut self) -> BTreeSet<NaiveDate> {
        let mut day = || NaiveDate::from_yo_opt(2026, self.0.random_range(1..=365)).unwrap();
        (0..12).map(|_| day()).collect()
    }

    /// Arrival and departure. Most stays are for hours, some for days; one in eight is at a change of the clocks.
    pub(crate) fn stay(&mut self) -> (DateTime<Utc>, DateTime<Utc>) {
        let arrival = if self.0.random_bool(0.125) {
            let days = [(3, 7), (3, 28), (4, 4), (9, 5), (10, 3), (10, 24), (10, 31)];
            let (month, day) = *days.choose(&mut self.0).unwrap();
            let begin = Utc.with_ymd_and_hms(2026, month, day, 0, 0, 0).unwrap();
            begin + TimeDelta::minutes(self.0.random_range(0..48 * 60))
        } else {
            let begin = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
            begin + TimeDelta::minutes(self.0.random_range(0..365 * 24 * 60))
        };
        let hours = *[5, 5, 5, 5, 5, 5, 5, 24, 24, 144].choose(&mut self.0).unwrap();
        (arrival, arrival + TimeDelta::seconds(self.0.random_range(0..hours * 3600)))
    }

    pub(crate) fn seconds(&mut self, most: i64) -> TimeDelta {
        TimeDelta::seconds(self.0.random_range(0..=most))
    }

    fn line(&mut self) -> Line {
        let charge = self.charge();
        let always = Line::always("Some time", self.amount(), charge);
        let weekdays = self.maybe(0.4, Self::weekdays).unwrap_or_else(|| always.weekdays.clone());
        Line {
            holidays: weekdays.is_empty() || self.0.random_bool(0.7),
            weekdays,
            window: self.maybe(0.6, Self::window),
            elapsed: self.maybe(0.4, Self::elapsed).filter(|_| charge != Charge::LostTicket),
            ..always
        }
    }

    fn charge(&mut self) -> Charge {
        let minutes = *[1, 5, 6, 10, 15, 20, 30, 45, 60, 60, 90, 120, 720, 1440].choose(&mut self.0).unwrap();
        let per = *[1, 7, 32, 45, 60, 60, 90, 1440].choose(&mut self.0).unwrap();
        match self.0.random_range(0..10) {
            0 | 1 => Charge::Flat,
            2 => Charge::LostTicket,
            3 | 4 if per != 7 => Charge::Step { minutes, per_minutes: Some(per) },
            _ => Charge::every(minutes),
        }
    }

    fn weekdays(&mut self) -> Vec<Weekday> {
        let all = Line::always("", 0, Charge::Flat).weekdays;
        all.into_iter().filter(|_| self.0.random()).collect()
    }

    fn window(&mut self) -> Window {
        let (from, to) = (self.0.random_range(0..288), self.0.random_range(1..=288u16));
        let (from, to) = if from == to { (0, 288) } else { (from, to) };
        let time = |minutes: u16| LocalTime::from_minutes(minutes * 5).unwrap();
        Window { from: time(from), to: time(to) }
    }

    fn elapsed(&mut self) -> Elapsed {
        let from = self.0.random_range(0..300);
        let to = self.maybe(0.7, |random| from + random.0.random_range(1..2000));
        Elapsed { from, to }
    }

    fn rate(&mut self) -> TaxRate {
        TaxRate { name: "VAT".into(), per_hundred_thousand: self.0.random_range(0..=30_000) }
    }

    fn amount(&mut self) -> i64 {
        self.0.random_range(0..1000)
    }

    fn cap(&mut self) -> i64 {
        self.0.random_range(1..5000)
    }

    fn maybe<T>(&mut self, probability: f64, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.random_bool(probability).then(|| value(self))
    }
}
