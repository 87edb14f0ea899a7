//! The statistics of the simulated traffic, and loading it.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::{Asia::Kolkata, Europe::Berlin, Tz};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::{
    load::load,
    plan::{DRIVER, Plan, Span},
    rows::Reservation,
};
use crate::{
    base::error::Error,
    parking::rules::state::State,
    platform::{db::Db, entities},
};

fn plan(lots: usize, spots_per_lot: usize, span: Span, zone: Tz) -> Plan {
    let now = Utc.with_ymd_and_hms(2026, 11, 20, 9, 41, 7).unwrap();
    Plan { lots, spots_per_lot, span, seed: 7, now, zone, heavy: 0 }
}

fn month() -> Plan {
    plan(3, 200, Span::Month, Kolkata)
}

fn hash(rows: impl Iterator<Item = impl Hash>) -> u64 {
    let mut hasher = DefaultHasher::new();
    rows.for_each(|row| row.hash(&mut hasher));
    hasher.finish()
}

/// When the reservation occupies its spot and its user.
fn held(row: &Reservation) -> (DateTime<Utc>, DateTime<Utc>) {
    let end = if row.state == State::Active { None } else { row.left_at.or(row.ends_at) };
    (row.starts_at, end.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

fn overlaps(rows: &[Reservation], key: impl Fn(&Reservation) -> i64) -> usize {
    let mut held: Vec<_> = rows.iter().map(|row| (key(row), held(row))).collect();
    held.sort_unstable();
    held.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1.1 > pair[1].1.0).count()
}

fn assert_exclusive(rows: &[Reservation]) {
    assert_eq!(overlaps(rows, |row| row.spot_id), 0, "spots taken twice");
    assert_eq!(overlaps(rows, |row| row.user_id), 0, "users in two places");
}

/// The percentage of reservations for which `what` holds.
fn percent(rows: &[Reservation], what: impl Fn(&Reservation) -> bool) -> f64 {
    100.0 * rows.iter().filter(|row| what(row)).count() as f64 / rows.len() as f64
}

fn assert_near(measured: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (measured - expected).abs() <= tolerance,
        "{what}: {measured:.2}, expected {expected} ± {tolerance}"
    );
}

#[test]
fn the_same_seed_makes_the_same_rows() {
    let hashes = |seed| {
        let plan = Plan { seed, heavy: 100, ..plan(2, 50, Span::Month, Kolkata) };
        [hash(plan.lots()), hash(plan.spots()), hash(plan.users()), hash(plan.reservations())]
    };
    assert_eq!(hashes(1), hashes(1));
    assert_ne!(hashes(1), hashes(2));
}

#[test]
fn no_spot_and_no_user_has_two_reservations_at_once() {
    let rows: Vec<_> = Plan { heavy: 2_000, ..month() }.reservations().collect();
    assert_exclusive(&rows);
    assert!(rows.is_sorted_by_key(|row| row.starts_at), "ids follow time");
    assert!(rows.iter().zip(1..).all(|(row, id)| row.id == id));
}

#[test]
fn a_year_with_two_clock_changes_has_no_overlaps() {
    let plan = plan(1, 50, Span::Year, Berlin);
    assert_eq!(plan.begin().with_timezone(&Berlin).time(), NaiveTime::MIN);
    assert_exclusive(&plan.reservations().collect::<Vec<_>>());
}

/// The percentage of spots taken at a local time on weekdays. Lots do not count during their closure and 12 hours after.
fn weekday_occupancy(plan: &Plan, rows: &[Reservation], hour: u32, minute: u32) -> f64 {
    let sites: Vec<_> = plan.sites().collect();
    let (mut spots, mut taken) = (0, 0);
    for day in plan.begin().with_timezone(&plan.zone).date_naive().iter_days().skip(3).take(26) {
        let local = day.and_hms_opt(hour, minute, 0).unwrap();
        let at = plan.zone.from_local_datetime(&local).unwrap().to_utc();
        let closed = |lot: i64| {
            let closed = &sites[lot as usize - 1].closed;
            (closed.start..closed.end + 12 * 3_600).contains(&at.timestamp())
        };
        if !matches!(day.weekday(), Weekday::Sat | Weekday::Sun) {
            spots += plan.spots().filter(|spot| !closed(spot.lot_id)).count();
            let there = |row: &&Reservation| {
                row.arrived_at.is_some_and(|arrived| arrived <= at)
                    && row.left_at.is_none_or(|left| left > at)
                    && !closed(row.lot_id)
            };
            taken += rows.iter().filter(there).count();
        }
    }
    100.0 * taken as f64 / spots as f64
}

#[test]
fn weekday_occupancy_matches_real_car_parks() {
    let plan = month();
    let rows: Vec<_> = plan.reservations().collect();
    for (hour, minute, expected) in [(5, 0, 27.0), (11, 30, 61.0), (12, 0, 61.0)] {
        let occupied = weekday_occupancy(&plan, &rows, hour, minute);
        println!("{occupied:.1} % occupied at {hour}:{minute:02}");
        assert_near(occupied, expected, 4.0, &format!("{hour}:{minute:02}"));
    }
}

#[test]
fn cancellations_no_shows_and_payments_have_planned_shares() {
    let plan = month();
    let rows: Vec<_> = plan.reservations().filter(|row| row.starts_at >= plan.begin()).collect();
    assert_near(percent(&rows, |row| row.state == State::Cancelled), 9.0, 1.0, "cancelled");
    assert_near(percent(&rows, |row| row.state == State::Expired), 6.0, 1.0, "expired");
    let long = |row: &Reservation| {
        row.left_at.is_some_and(|left| (2..7).contains(&(left - row.starts_at).num_days()))
    };
    assert_near(percent(&rows, long), 0.5, 0.4, "forgotten");
    let paid: Vec<_> = rows.into_iter().filter(|row| row.payment_method.is_some()).collect();
    for (method, share) in [("UPI", 62.0), ("Card", 28.0), ("Cash", 10.0)] {
        assert_near(percent(&paid, |row| row.payment_method == Some(method)), share, 1.5, method);
    }
    assert!(paid.iter().all(|row| row.state == State::Completed && row.cost_minor >= row.hourly_rate_minor));
    assert!(paid.iter().all(|row| row.transaction_id.is_none() == (row.payment_method == Some("Cash"))));
}

#[test]
fn every_row_is_consistent_with_its_state() {
    let plan = month();
    let users: HashMap<_, _> = plan.users().map(|user| (user.id, user.created_at)).collect();
    let mut states = HashSet::new();
    for row in plan.reservations() {
        let (arrived, left) = (row.arrived_at.is_some(), row.left_at.is_some());
        let expected = match row.state {
            State::Completed => (true, true),
            State::Active => (true, false),
            _ => (false, false),
        };
        assert_eq!((arrived, left), expected, "{row:?}");
        assert!(row.created_at <= row.starts_at && row.created_at <= plan.now, "{row:?}");
        assert!(row.arrived_at.max(row.left_at).is_none_or(|at| at <= plan.now), "{row:?}");
        assert!(row.ends_at.is_none_or(|end| end > row.starts_at), "{row:?}");
        assert!(users[&row.user_id] < row.created_at, "{row:?}");
        states.insert(row.state);
    }
    assert_eq!(states.len(), 5, "{states:?}");
}

#[test]
fn every_lot_changes_its_price_and_closes_once() {
    let plan = month();
    let rows: Vec<_> = plan.reservations().collect();
    for site in plan.sites() {
        let mut here = rows.iter().filter(|row| row.lot_id == site.lot.id);
        let rates: HashSet<_> = here.clone().map(|row| row.hourly_rate_minor).collect();
        assert_eq!(rates, HashSet::from([site.earlier_price_minor, site.lot.price_minor]));
        let walked_in_then = |row: &Reservation| {
            site.closed.contains(&row.starts_at.timestamp())
                && row.left_at.is_some_and(|left| left - row.starts_at < TimeDelta::days(10))
        };
        assert!(!here.any(walked_in_then), "somebody came in while lot {} was closed", site.lot.id);
    }
}

#[test]
fn names_plates_and_addresses_are_unique_some_awkward() {
    let plan = plan(200, 500, Span::Day, Kolkata);
    let names: HashSet<_> = plan.lots().map(|lot| lot.location_name).collect();
    assert_eq!(names.len(), 200);
    assert!(['"', ',', '\n', '中'].iter().all(|c| names.iter().any(|name| name.contains(*c))));
    assert!(names.iter().any(|name| name.starts_with('=')));
    let mut seen = HashSet::new();
    for user in plan.users().take(100_000) {
        assert!(seen.insert(user.email) && seen.insert(user.username.to_lowercase()));
        assert!(user.vehicle_number.is_none_or(|plate| plate.len() == 10 && seen.insert(plate)));
        assert!(user.phone_number.is_none_or(|phone| seen.insert(phone)));
    }
}

#[test]
fn the_driver_has_a_history_and_nothing_open() {
    let plan = month();
    let his: Vec<_> = plan.reservations().filter(|row| row.user_id == plan.driver_id()).collect();
    assert!(his.len() >= 3, "{}", his.len());
    assert!(his.iter().all(|row| !matches!(row.state, State::Active | State::Reserved)));
}

#[test]
fn the_heavy_history_has_the_requested_length() {
    let plan = Plan { heavy: 5_000, ..plan(1, 20, Span::Day, Kolkata) };
    let rows: Vec<_> = plan.reservations().collect();
    let heavy: Vec<_> = rows.iter().filter(|row| row.lot_id == 2).collect();
    assert_eq!(heavy.len(), 5_000);
    assert!(heavy.iter().all(|row| row.user_id == plan.driver_id() && row.state == State::Completed));
    assert_exclusive(&rows);
}

async fn sqlite(folder: &tempfile::TempDir) -> Db {
    let db = Db::connect(&format!("sqlite://{}/demo.db?mode=rwc", folder.path().display()), 2).await.unwrap();
    db.migrate(testkit::for_migrations()).await.unwrap();
    db
}

/// Adds an existing user, such as the first administrator.
async fn add_user(db: &Db, id: i64, name: &str) {
    let text = format!(
        "INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, created_at)
            VALUES ({id}, '{name}', '{name}', '{name}@x.test', '{name}@x.test', '', 'admin', '2026-01-01T00:00:00+00:00')"
    );
    db.write().execute_unprepared(&text).await.unwrap();
}

#[tokio::test]
async fn a_failed_load_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder).await;
    add_user(&db, 1, "demo driver").await;
    assert!(load(&db, &plan(1, 5, Span::Day, Kolkata), "hash", |_| ()).await.is_err());
    assert_eq!(entities::lot::Entity::find().count(db.read()).await.unwrap(), 0);
}

#[tokio::test]
async fn loads_next_to_an_existing_user_but_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder).await;
    add_user(&db, 3, "root").await;
    let plan = Plan { heavy: 1_500, ..plan(2, 40, Span::Month, Kolkata) };
    let mut last = 0;
    let loaded = load(&db, &plan, "hash", |rows| last = rows).await.unwrap();
    assert_eq!((loaded.lots, loaded.spots, loaded.users), (3, 2 * 40 + 50, 1 + 2 * 40 * 5));
    assert_eq!(loaded.reservations, plan.reservations().count() as u64);
    assert_eq!(last, loaded.lots + loaded.spots + loaded.users + loaded.reservations);
    assert_near(last as f64, plan.expected_rows() as f64, 300.0, "rows");

    let rows = entities::reservation::Entity::find();
    assert_eq!(rows.clone().count(db.read()).await.unwrap(), loaded.reservations);
    let past = rows.clone().filter(entities::reservation::Column::StartsAt.lte(plan.now));
    let expected = plan.reservations().filter(|row| row.starts_at <= plan.now).count() as u64;
    assert_eq!(past.count(db.read()).await.unwrap(), expected, "instants compare as sea-orm writes them");
    let (stored, made) = (rows.one(db.read()).await.unwrap().unwrap(), plan.reservations().next().unwrap());
    assert_eq!((stored.starts_at, stored.left_at), (made.starts_at, made.left_at));
    assert_eq!(stored.user_id, made.user_id + 3);
    let driver = entities::user::Entity::find().filter(entities::user::Column::Email.eq(DRIVER));
    assert!(driver.one(db.read()).await.unwrap().is_some());

    assert!(matches!(load(&db, &plan, "hash", |_| ()).await, Err(Error::Conflict { .. })));
}

/// `cargo test -p shared --release demo -- --ignored --nocapture`, with DATABASE_URL for PostgreSQL.
#[tokio::test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "the database to measure is the caller's choice")]
async fn a_million_rows_load_in_half_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}/demo.db?mode=rwc", folder.path().display());
    let db = Db::connect(&std::env::var("DATABASE_URL").unwrap_or(sqlite), 2).await.unwrap();
    db.migrate(testkit::for_migrations()).await.unwrap();
    let year = plan(8, 300, Span::Year, Kolkata);
    let loaded = load(&db, &year, "hash", |_| ()).await.unwrap();
    println!("{loaded:?}");
    assert!(loaded.reservations > 1_000_000 && loaded.elapsed < Duration::from_secs(30));
}
