//! An installation of 0.2.0 is upgraded: every row survives, amounts are exact, the data is sound, and reports say what
//! they said before, except where the rules have changed.

#![expect(clippy::unwrap_used, reason = "this is test code")]

mod afterwards;
mod earlier;
mod expected;
mod figures;
mod rows;

use std::{collections::BTreeMap, process::Command};

use sea_orm::{FromQueryResult, JsonValue};
use shared::{
    base::{clock::Clock, currency::Currency},
    operations::doctor,
    parking::reports::{admin, user},
    platform::db::{Db, sql},
};
use testkit::{Engine, TestApp};

use self::{
    expected::{Expected, in_currency},
    figures::{Figures, Spot, available_before, free_now, grouped},
    rows::Stay,
};

/// Names the currency of a process that upgrades.
const CURRENCY: &str = "PARKADE_UPGRADE_CURRENCY";

/// A process has one currency, so each upgrade runs in its own.
fn upgrade_in(currency: &str) {
    let upgrade = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "the_upgrade", "--nocapture"])
        .env(CURRENCY, currency)
        .output()
        .unwrap();
    let [printed, errors] =
        [upgrade.stdout, upgrade.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(upgrade.status.success() && printed.contains("1 passed"), "in {currency}: {printed}{errors}");
}

#[test]
fn amounts_in_hundredths_stay() {
    upgrade_in("INR");
}

#[test]
fn amounts_without_decimals_are_rounded() {
    upgrade_in("JPY");
}

#[test]
fn amounts_with_three_decimals_are_exact() {
    upgrade_in("KWD");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests above, in a process for each currency"]
#[expect(clippy::disallowed_methods, reason = "from the test above, not a setting")]
async fn the_upgrade() {
    let currency = std::env::var(CURRENCY).map_or(Currency::INR, |code| code.parse().unwrap());
    for engine in [Engine::Sqlite, Engine::Postgres] {
        println!("{currency} on {engine:?}");
        upgrade(engine, currency).await;
    }
}

/// What 0.2.0 stored.
struct Before {
    stays: Vec<Stay>,
    spots: Vec<Spot>,
    /// The rows of other tables.
    others: BTreeMap<&'static str, Vec<JsonValue>>,
}

/// Columns that an upgrade keeps. Names and contacts are matched by rules of their own.
const KEPT: [(&str, &str); 4] = [
    ("users", "id, role, username, password_hash, vehicle_number, created_at, deleted_at"),
    ("lots", "id, location_name, price_minor, number_of_slots, version, created_at, archived_at"),
    ("spots", "id, lot_id, number, retiring, retired_at"),
    ("user_activity", "id, user_id, kind, subject, created_at"),
];

async fn read<T: FromQueryResult>(db: &Db, text: &str) -> Vec<T> {
    T::find_by_statement(sql(db.read(), text, [])).all(db.read()).await.unwrap()
}

impl Before {
    async fn read(db: &Db) -> Self {
        let in_service = "SELECT s.id, s.lot_id FROM spots s JOIN lots l ON l.id = s.lot_id
            WHERE l.archived_at IS NULL AND s.retired_at IS NULL AND NOT s.retiring";
        let mut others = BTreeMap::new();
        for (table, columns) in KEPT {
            others.insert(table, read(db, &format!("SELECT {columns} FROM {table} ORDER BY id")).await);
        }
        let stays = read(db, "SELECT * FROM reservations ORDER BY id").await;
        Self { stays, spots: read(db, in_service).await, others }
    }

    /// The rows of other tables with prices in minor units.
    fn others_in(&self, currency: Currency) -> BTreeMap<&'static str, Vec<JsonValue>> {
        let mut others = self.others.clone();
        for lot in others.get_mut("lots").unwrap() {
            lot["price_minor"] = in_currency(lot["price_minor"].as_i64().unwrap(), currency).into();
        }
        others
    }
}

async fn upgrade(engine: Engine, currency: Currency) {
    let folder = tempfile::tempdir().unwrap();
    let url = match engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", folder.path().join("earlier.db").display()),
        Engine::Postgres => testkit::postgres().await.create_database("earlier").await.unwrap(),
    };
    earlier::fill(&url).await;
    let db = Db::connect(&url, 1).await.unwrap();
    let before = Before::read(&db).await;
    db.close().await;

    let t = TestApp::start_with(engine, &[("DATABASE_URL", &url), ("CURRENCY", currency.code())]).await;
    let t = t.at(Clock::fixed(rows::now())).await;
    let expected = Expected::of(&before.stays, currency);
    every_row_survives(&t, before.others_in(currency)).await;
    expected.is_stored(&t).await;
    t.is_sound().await;
    reports_are_as_before(&t, &before, &expected).await;
    drivers_are_told_the_same(&t, &expected).await;
    doctor_repeats_what_was_lost(&t, &expected).await;
    afterwards::life_goes_on(&t, &expected).await;
}

async fn every_row_survives(t: &TestApp, expected: BTreeMap<&'static str, Vec<JsonValue>>) {
    let after = Before::read(&t.app.db).await;
    assert!(expected["users"].len() > 30_000 && after.stays.len() > 25_000, "the size of the demo");
    for (table, rows) in expected {
        same(table, &after.others[table], &rows);
    }
}

/// Says where two long lists differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], expected: &[T]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
}

async fn reports_are_as_before(t: &TestApp, before: &Before, expected: &Expected) {
    let (zone, stays) = (t.app.config.zone, &expected.stays);
    let old = Figures::of(stays, zone, |_| true);
    let new = Figures::of(stays, zone, expected::is_paid);
    let report = admin::report(&t.app).await.unwrap();
    let totals = [report.revenue, report.outstanding, report.verified].map(|sum| sum.minor());
    assert_eq!(totals, [new.revenue, new.outstanding, 0]);
    assert_eq!(new.revenue + new.outstanding, old.revenue, "what was revenue is paid or outstanding");
    assert!(new.revenue > 0 && new.outstanding > 0);
    assert_eq!([report.active, report.reserved, report.completed], [old.active, old.reserved, old.completed]);
    assert_eq!(admin::count(&t.app).await.unwrap(), old.reservations);

    assert_eq!(report.months.len(), 12);
    for month in &report.months {
        let found = (month.reservations, month.revenue.minor());
        assert_eq!(
            found,
            new.months.get(&month.month.date).copied().unwrap_or_default(),
            "{:?}",
            month.month
        );
        assert_eq!(found.0, old.months.get(&month.month.date).copied().unwrap_or_default().0);
    }
    assert_eq!(report.days.len(), 30);
    for (day, revenue) in &report.days {
        assert_eq!(revenue.minor(), new.days.get(&day.date).copied().unwrap_or_default(), "{:?}", day.date);
    }
    assert_eq!(report.methods.into_iter().collect::<BTreeMap<_, _>>(), new.methods);

    let lots = grouped(stays, |stay| stay.lot_id);
    let (was_available, free) =
        (available_before(&before.stays, &before.spots), free_now(stays, &before.spots));
    assert_eq!(report.lots.len(), lots.len());
    for lot in report.lots {
        let [old, new] = [|_: &Stay| true, expected::is_paid]
            .map(|rule| Figures::of(lots[&lot.id].iter().copied(), zone, rule));
        let found = (lot.reservations, lot.revenue.minor(), lot.outstanding.minor());
        assert_eq!(found, (new.reservations, new.revenue, new.outstanding), "lot {}", lot.id);
        assert_eq!(found.1 + found.2, old.revenue);
        assert_eq!(lot.available, free.get(&lot.id).copied().unwrap_or(0), "lot {}", lot.id);
        let was = was_available.get(&lot.id).copied().unwrap_or(0);
        assert!(lot.archived || lot.available > was, "distant and missed windows do not keep spots any more");
    }
}

async fn drivers_are_told_the_same(t: &TestApp, expected: &Expected) {
    let zone = t.app.config.zone;
    let drivers = grouped(&expected.stays, |stay| stay.user_id);
    let some = drivers.iter().filter(|(id, _)| **id < 30 || **id % 400 == 0);
    for (id, stays) in some {
        let [old, new] =
            [|_: &Stay| true, expected::is_paid].map(|rule| Figures::of(stays.iter().copied(), zone, rule));
        let report = user::report(&t.app, *id).await.unwrap();
        let found = [report.bookings, report.active, report.completed, report.spent.minor()];
        assert_eq!(found, [old.reservations, old.active, old.completed, old.revenue], "user {id}");
        assert_eq!(report.outstanding.minor(), new.outstanding, "user {id}");
        for month in report.months {
            let expected = new.months.get(&month.month.date).copied().unwrap_or_default();
            assert_eq!((month.bookings, month.spent.minor()), expected, "user {id}");
        }
    }
}

async fn doctor_repeats_what_was_lost(t: &TestApp, expected: &Expected) {
    let findings = doctor::examine(&t.app.config, &t.app.clock).await;
    let said: Vec<_> =
        findings.iter().filter(|one| one.area == "database").map(|one| one.verdict.what.as_str()).collect();
    let all = said.join("\n");
    let lost = &expected.lost;
    assert!(
        all.contains(&format!("{} stays name a transaction that settles an older stay", lost.len())),
        "{all}"
    );
    for (later, first) in lost {
        assert!(
            all.contains(&format!("reservation {later} names the transaction of reservation {first}")),
            "{all}"
        );
    }
    let rounded = expected.rounded(&t.app.db).await;
    let says_rounded = all.contains(&format!("the upgrade rounded {rounded} amounts"));
    assert_eq!(says_rounded, rounded > 0, "{all}");
    assert_eq!(rounded > 0, expected.currency.decimals() == 0);
}
