//! The figures of reports, from the rows one by one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::FromQueryResult;

use super::rows::{Stay, now};

/// A window that begins within this time keeps its spot from drivers without one.
const PROTECTION: TimeDelta = TimeDelta::minutes(120);

/// A spot in service.
#[derive(Debug, Clone, FromQueryResult)]
pub(crate) struct Spot {
    pub(crate) id: i64,
    pub(crate) lot_id: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Stays that are paid, and unpaid bills.
    pub(crate) revenue: i64,
    pub(crate) outstanding: i64,
    pub(crate) billed: i64,
    pub(crate) reservations: i64,
    pub(crate) active: i64,
    pub(crate) reserved: i64,
    pub(crate) completed: i64,
    /// Reservations that began, and revenue, by the first day of the local month.
    pub(crate) months: BTreeMap<NaiveDate, (i64, i64)>,
    /// Revenue by local day.
    pub(crate) days: BTreeMap<NaiveDate, i64>,
    /// Payments by method.
    pub(crate) methods: BTreeMap<String, i64>,
}

impl Figures {
    /// `is_paid` says which bills are revenue, on the day of departure.
    pub(crate) fn of<'a>(
        stays: impl IntoIterator<Item = &'a Stay>,
        zone: Tz,
        is_paid: impl Fn(&Stay) -> bool,
    ) -> Self {
        let mut sums = Self::default();
        for stay in stays.into_iter().filter(|stay| stay.counts()) {
            let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
            let month = |at| day(at).with_day(1).unwrap();
            sums.reservations += 1;
            sums.active += i64::from(stay.state == "active");
            sums.reserved += i64::from(stay.state == "reserved");
            sums.months.entry(month(stay.parking_time())).or_default().0 += 1;
            let Some(left) = stay.left_at else { continue };
            sums.completed += 1;
            sums.billed += stay.cost_minor;
            if !is_paid(stay) {
                sums.outstanding += stay.cost_minor;
                continue;
            }
            sums.revenue += stay.cost_minor;
            sums.months.entry(month(left)).or_default().1 += stay.cost_minor;
            *sums.days.entry(day(left)).or_default() += stay.cost_minor;
            if let Some(method) = &stay.payment_method {
                *sums.methods.entry(method.clone()).or_default() += 1;
            }
        }
        sums
    }
}

/// All stays by lot or by driver.
pub(crate) fn grouped(stays: &[Stay], key: impl Fn(&Stay) -> i64) -> BTreeMap<i64, Vec<&Stay>> {
    stays.iter().fold(BTreeMap::new(), |mut groups, stay| {
        groups.entry(key(stay)).or_insert_with(Vec::new).push(stay);
        groups
    })
}

/// How many spots of each lot 0.2.0 called available: those that nobody has reserved for any time.
pub(crate) fn available_before(stays: &[Stay], spots: &[Spot]) -> BTreeMap<i64, i64> {
    let held: BTreeSet<_> = stays.iter().filter(|stay| stay.is_live()).map(|stay| stay.spot_id).collect();
    count(spots.iter().filter(|spot| !held.contains(&spot.id)))
}

/// How many spots of each lot are free now: without a car and a window that is due, less the windows that are due while
/// a car is on their spot.
pub(crate) fn free_now(stays: &[Stay], spots: &[Spot]) -> BTreeMap<i64, i64> {
    let parked: BTreeSet<_> =
        stays.iter().filter(|stay| stay.state == "active").map(|stay| stay.spot_id).collect();
    let is_due = |stay: &&Stay| {
        stay.state == "reserved"
            && stay.starts_at < now() + PROTECTION
            && stay.ends_at.is_some_and(|end| end > now())
    };
    let due: Vec<_> = stays.iter().filter(is_due).collect();
    let held: BTreeSet<_> = due.iter().map(|stay| stay.spot_id).chain(parked.iter().copied()).collect();
    let mut free = count(spots.iter().filter(|spot| !held.contains(&spot.id)));
    for displaced in due.iter().filter(|stay| parked.contains(&stay.spot_id)) {
        *free.entry(displaced.lot_id).or_default() -= 1;
    }
    free.into_iter().map(|(lot, free)| (lot, free.max(0))).collect()
}

fn count<'a>(spots: impl Iterator<Item = &'a Spot>) -> BTreeMap<i64, i64> {
    spots.fold(BTreeMap::new(), |mut counts, spot| {
        *counts.entry(spot.lot_id).or_default() += 1;
        counts
    })
}
