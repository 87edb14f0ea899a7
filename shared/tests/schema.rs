//! Constraints that the schema enforces regardless of the application, and reversible migrations.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "this is test code")]

use chrono::{DateTime, TimeDelta, Utc};
use migration::{Migrator, MigratorTraitSelf};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, JsonValue, Value};
use shared::platform::db::{Db, Engine as Kind, at, sql};
use testkit::{Engine, TestApp, change};

fn noon() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn after(minutes: i64) -> DateTime<Utc> {
    noon() + TimeDelta::minutes(minutes)
}

async fn insert(t: &TestApp, text: &str, values: impl IntoIterator<Item = Value>) -> Result<i64, DbErr> {
    let db = t.app.db.write();
    db.query_one_raw(sql(db, text, values)).await?.expect("RETURNING id").try_get("", "id")
}

async fn user(t: &TestApp, name: &str) -> i64 {
    let text = "INSERT INTO users (username, username_key, email, email_key, password_hash, role, created_at)
                VALUES ($1, $1, $1, $1, 'x', 'user', $2) RETURNING id";
    insert(t, text, [name.into(), at(noon())]).await.unwrap()
}

/// The spots of a new lot with `count` spots.
async fn spots(t: &TestApp, count: i64) -> Vec<i64> {
    let lot = t.lot(count).await;
    let db = t.app.db.read();
    let rows = db
        .query_all_raw(sql(db, "SELECT id FROM spots WHERE lot_id = $1 ORDER BY number", [lot.into()]))
        .await;
    rows.unwrap().iter().map(|row| row.try_get("", "id").unwrap()).collect()
}

/// Inserts a reservation without the application's checks.
async fn reservation(
    t: &TestApp,
    user: i64,
    spot: i64,
    state: &str,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
) -> Result<i64, DbErr> {
    let arrived = matches!(state, "active" | "completed").then_some(from);
    let left = (state == "completed").then(|| from + TimeDelta::minutes(30));
    let text = "INSERT INTO reservations
            (user_id, lot_id, spot_id, state, starts_at, ends_at, arrived_at, left_at, hourly_rate_minor, created_at)
        SELECT $1, lot_id, id, $3, $4, $5, $6, $7, 100, $4 FROM spots WHERE id = $2 RETURNING id";
    let values = [user.into(), spot.into(), state.into(), at(from), at(until), at(arrived), at(left)];
    insert(t, text, values).await
}

#[track_caller]
fn assert_rejected<T: std::fmt::Debug>(result: Result<T, DbErr>, by: &[&str]) {
    let error = result.expect_err("the database must reject this").to_string();
    assert!(by.iter().any(|by| error.contains(by)), "rejected by something else: {error}");
}

const OVERLAP: [&str; 1] = ["reservations_no_overlap"];
const ONE_A_SPOT: [&str; 3] =
    ["reservations_one_active_a_spot", "reservations.spot_id", "reservations_no_overlap"];
const ONE_A_USER: [&str; 2] = ["reservations_one_active_a_user", "reservations.user_id"];

#[testkit::both_databases]
async fn a_house_has_many_sessions_a_plate_only_one(t: TestApp) {
    let (house, spots) = (user(&t, "House").await, spots(&t, 3).await);
    let mark = "UPDATE reservations SET house = TRUE, plate_key = $2 WHERE id = $1";
    for (spot, plate) in [(spots[0], "A"), (spots[1], "B")] {
        let id = reservation(&t, house, spot, "active", noon(), None).await.unwrap();
        change(&t, mark, [id.into(), plate.into()]).await.unwrap();
    }
    let third = reservation(&t, house, spots[2], "active", noon(), None).await.unwrap();
    let again = change(&t, mark, [third.into(), "A".into()]).await;
    assert_rejected(again, &["reservations_one_place_a_plate", "reservations.plate_key"]);
    let left = "UPDATE reservations SET state = 'completed', left_at = starts_at WHERE plate_key = 'A'";
    change(&t, left, []).await.unwrap();
    change(&t, mark, [third.into(), "A".into()]).await.unwrap();
}

#[testkit::both_databases]
async fn windows_on_one_spot_never_overlap(t: TestApp) {
    let (asha, ravi) = (user(&t, "Asha").await, user(&t, "Ravi").await);
    let spots = spots(&t, 2).await;
    reservation(&t, asha, spots[0], "reserved", after(60), Some(after(120))).await.unwrap();
    for (from, until) in [(60, Some(120)), (30, Some(61)), (119, Some(180)), (70, Some(80)), (0, Some(500))] {
        let second = reservation(&t, ravi, spots[0], "reserved", after(from), until.map(after)).await;
        assert_rejected(second, &OVERLAP);
    }
    let by_a_microsecond = after(60) + TimeDelta::microseconds(1);
    assert_rejected(
        reservation(&t, ravi, spots[0], "reserved", after(0), Some(by_a_microsecond)).await,
        &OVERLAP,
    );
    let early = reservation(&t, ravi, spots[0], "active", after(0), Some(after(61))).await;
    assert_rejected(early, &OVERLAP);
    for (spot, from, until) in [(0, 0, Some(60)), (0, 120, Some(180)), (1, 60, Some(120))] {
        reservation(&t, ravi, spots[spot], "reserved", after(from), until.map(after)).await.unwrap();
    }
}

#[testkit::both_databases]
async fn closed_windows_hold_nothing(t: TestApp) {
    let asha = user(&t, "Asha").await;
    let spot = spots(&t, 1).await[0];
    for state in ["cancelled", "expired", "completed", "cancelled", "completed", "reserved"] {
        reservation(&t, asha, spot, state, after(0), Some(after(60))).await.unwrap();
    }
    assert_rejected(reservation(&t, asha, spot, "reserved", after(0), Some(after(60))).await, &OVERLAP);
}

#[testkit::both_databases]
async fn a_session_without_an_end_may_meet_windows(t: TestApp) {
    let (asha, ravi) = (user(&t, "Asha").await, user(&t, "Ravi").await);
    let spot = spots(&t, 1).await[0];
    reservation(&t, ravi, spot, "reserved", after(60), Some(after(120))).await.unwrap();
    reservation(&t, asha, spot, "active", after(0), None).await.unwrap();
    reservation(&t, ravi, spot, "reserved", after(-60), Some(after(60))).await.unwrap();
}

#[testkit::both_databases]
async fn updates_cannot_make_windows_overlap(t: TestApp) {
    let (asha, ravi) = (user(&t, "Asha").await, user(&t, "Ravi").await);
    let spots = spots(&t, 2).await;
    let first = reservation(&t, asha, spots[0], "reserved", after(0), Some(after(60))).await.unwrap();
    let later = reservation(&t, ravi, spots[0], "reserved", after(60), Some(after(120))).await.unwrap();
    let other = reservation(&t, ravi, spots[1], "reserved", after(0), Some(after(60))).await.unwrap();
    let cancelled = reservation(&t, ravi, spots[0], "cancelled", after(0), Some(after(60))).await.unwrap();
    for (text, values) in [
        ("UPDATE reservations SET starts_at = $2 WHERE id = $1", vec![later.into(), at(after(59))]),
        ("UPDATE reservations SET ends_at = $2 WHERE id = $1", vec![first.into(), at(after(61))]),
        ("UPDATE reservations SET spot_id = $2 WHERE id = $1", vec![other.into(), spots[0].into()]),
        ("UPDATE reservations SET state = $2 WHERE id = $1", vec![cancelled.into(), "reserved".into()]),
    ] {
        assert_rejected(change(&t, text, values).await, &OVERLAP);
    }
    change(&t, "UPDATE reservations SET ends_at = $2 WHERE id = $1", [first.into(), at(after(30))])
        .await
        .unwrap();
    change(&t, "UPDATE reservations SET starts_at = $2 WHERE id = $1", [later.into(), at(after(30))])
        .await
        .unwrap();
}

#[testkit::both_databases]
async fn a_spot_has_at_most_one_session(t: TestApp) {
    let (asha, ravi) = (user(&t, "Asha").await, user(&t, "Ravi").await);
    let spot = spots(&t, 1).await[0];
    reservation(&t, asha, spot, "active", after(0), Some(after(60))).await.unwrap();
    // The first reservation is over, but its driver is still parked.
    assert_rejected(reservation(&t, ravi, spot, "active", after(60), None).await, &ONE_A_SPOT);
    let next = reservation(&t, ravi, spot, "reserved", after(60), Some(after(120))).await.unwrap();
    let text = "UPDATE reservations SET state = 'active', arrived_at = starts_at WHERE id = $1";
    assert_rejected(change(&t, text, [next.into()]).await, &ONE_A_SPOT);
}

#[testkit::both_databases]
async fn a_user_has_at_most_one_session(t: TestApp) {
    let asha = user(&t, "Asha").await;
    let spots = spots(&t, 2).await;
    reservation(&t, asha, spots[0], "active", after(0), None).await.unwrap();
    assert_rejected(reservation(&t, asha, spots[1], "active", after(0), None).await, &ONE_A_USER);
    let reserved = reservation(&t, asha, spots[1], "reserved", after(0), Some(after(60))).await.unwrap();
    let text = "UPDATE reservations SET state = 'active', arrived_at = starts_at WHERE id = $1";
    assert_rejected(change(&t, text, [reserved.into()]).await, &ONE_A_USER);
}

#[testkit::both_databases]
async fn invalid_rows_are_rejected(t: TestApp) {
    let asha = user(&t, "Asha").await;
    let spot = spots(&t, 1).await[0];
    let check = ["check constraint", "CHECK constraint"];
    let foreign = ["foreign key", "FOREIGN KEY"];
    let id = reservation(&t, asha, spot, "reserved", after(0), Some(after(60))).await.unwrap();
    for state in ["parked", "", "RESERVED", "completed", "active"] {
        // For example completed without a departure, or active without an arrival.
        let text = "UPDATE reservations SET state = $2 WHERE id = $1";
        assert_rejected(change(&t, text, [id.into(), state.into()]).await, &check);
    }
    for (text, values) in [
        ("UPDATE reservations SET ends_at = $2 WHERE id = $1", vec![id.into(), at(after(0))]),
        ("UPDATE reservations SET ends_at = $2 WHERE id = $1", vec![id.into(), at(after(-1))]),
        ("UPDATE reservations SET left_at = $2 WHERE id = $1", vec![id.into(), at(after(1))]),
        ("UPDATE reservations SET cost_minor = -1 WHERE id = $1", vec![id.into()]),
        ("UPDATE reservations SET hourly_rate_minor = -1 WHERE id = $1", vec![id.into()]),
        ("UPDATE users SET role = 'boss' WHERE id = $1", vec![asha.into()]),
        ("UPDATE lots SET price_minor = -1 WHERE id > $1", vec![0.into()]),
        ("UPDATE lots SET number_of_slots = 0 WHERE id > $1", vec![0.into()]),
        ("UPDATE lots SET number_of_slots = 10001 WHERE id > $1", vec![0.into()]),
    ] {
        assert_rejected(change(&t, text, values).await, &check);
    }
    for text in [
        "UPDATE reservations SET user_id = 999999 WHERE id = $1",
        "UPDATE reservations SET lot_id = 999999 WHERE id = $1",
        "UPDATE reservations SET spot_id = 999999 WHERE id = $1",
    ] {
        assert_rejected(change(&t, text, [id.into()]).await, &foreign);
    }
    assert_rejected(change(&t, "DELETE FROM users WHERE id = $1", [asha.into()]).await, &foreign);
    assert_rejected(change(&t, "DELETE FROM spots WHERE id = $1", [spot.into()]).await, &foreign);
}

#[testkit::both_databases]
async fn user_keys_are_unique_and_nullable(t: TestApp) {
    let (asha, ravi) = (user(&t, "asha").await, user(&t, "ravi").await);
    let unique = ["unique constraint", "UNIQUE constraint"];
    for column in ["username_key", "email_key", "vehicle_number", "phone_number"] {
        let text = format!("UPDATE users SET {column} = $2 WHERE id = $1");
        change(&t, &text, [asha.into(), "same".into()]).await.unwrap();
        assert_rejected(change(&t, &text, [ravi.into(), "same".into()]).await, &unique);
    }
    let text = "UPDATE users SET vehicle_number = NULL, phone_number = NULL WHERE id > 0";
    assert_eq!(change(&t, text, []).await.unwrap(), 2);
    let text = "INSERT INTO spots (lot_id, number) SELECT lot_id, number FROM spots WHERE id = $1";
    let spot = spots(&t, 1).await[0];
    assert_rejected(change(&t, text, [spot.into()]).await, &unique);
}

#[testkit::both_databases]
async fn ids_are_never_reused(t: TestApp) {
    let (first, last) = (user(&t, "a").await, user(&t, "b").await);
    assert!(first < last);
    change(&t, "DELETE FROM users WHERE id = $1", [last.into()]).await.unwrap();
    let next = user(&t, "c").await;
    assert!(next > last, "{next} after {last}");
    change(&t, "DELETE FROM users WHERE id > $1", [0.into()]).await.unwrap();
    assert!(user(&t, "d").await > next);

    let spot = spots(&t, 1).await[0];
    let id = reservation(&t, user(&t, "e").await, spot, "cancelled", after(0), None).await.unwrap();
    change(&t, "DELETE FROM reservations WHERE id = $1", [id.into()]).await.unwrap();
    assert!(reservation(&t, user(&t, "f").await, spot, "cancelled", after(0), None).await.unwrap() > id);
    change(&t, "DELETE FROM reservations WHERE id > $1", [0.into()]).await.unwrap();
    change(&t, "DELETE FROM spots WHERE id = $1", [spot.into()]).await.unwrap();
    assert!(spots(&t, 1).await[0] > spot);
}

#[testkit::both_databases]
async fn instants_keep_their_microseconds_and_their_order(t: TestApp) {
    let asha = user(&t, "Asha").await;
    let text = "INSERT INTO user_activity (user_id, kind, subject, created_at) VALUES ($1, 'login', $2, $3)";
    let instants =
        ["12:00:00Z", "12:00:00.000001Z", "12:00:00.5Z", "12:00:00.500001Z", "12:00:00.51Z", "12:00:01Z"];
    for instant in instants.iter().rev() {
        let instant: DateTime<Utc> = format!("2026-11-20T{instant}").parse().unwrap();
        change(&t, text, [asha.into(), instant.to_rfc3339().into(), at(instant)]).await.unwrap();
    }
    let db = t.app.db.read();
    let rows = db
        .query_all_raw(sql(db, "SELECT created_at FROM user_activity ORDER BY created_at", []))
        .await
        .unwrap();
    let read: Vec<DateTime<Utc>> = rows.iter().map(|row| row.try_get("", "created_at").unwrap()).collect();
    let expected: Vec<DateTime<Utc>> =
        instants.iter().map(|time| format!("2026-11-20T{time}").parse().unwrap()).collect();
    assert_eq!(read, expected);
}

/// The schema as described by the database's catalog.
async fn describe(db: &Db) -> Vec<String> {
    let queries: &[&str] = match db.engine() {
        Kind::Sqlite => &["SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'seaql_%' ORDER BY type, name"],
        Kind::Postgres => &[
            "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_identity, identity_generation
             FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 3",
            "SELECT conrelid::regclass::text AS t, conname::text AS name, pg_get_constraintdef(oid) AS definition
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3",
            "SELECT tablename::text AS t, indexname::text AS name, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
            "SELECT tgrelid::regclass::text AS t, tgname::text AS name FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2",
            "SELECT proname::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e') ORDER BY 1",
            "SELECT extname::text AS name FROM pg_extension ORDER BY 1",
        ],
    };
    let mut lines = Vec::new();
    for query in queries {
        let rows = JsonValue::find_by_statement(sql(db.read(), query, [])).all(db.read()).await.unwrap();
        lines.extend(rows.iter().map(ToString::to_string));
    }
    lines
}

/// The names of released migrations, as recorded in existing databases.
const NAMES: [&str; 30] = [
    "m01_users",
    "m02_sessions",
    "m03_lots",
    "m04_spots",
    "m05_reservations",
    "m06_jobs",
    "m07_cron_ticks",
    "m08_exports",
    "m09_user_activity",
    "m10_email_deliveries",
    "m11_idempotency_keys",
    "m12_paused_queues",
    "m13_report_indexes",
    "m14_sweep_indexes",
    "m15_schedules",
    "m16_mailings",
    "m17_alerts_and_channels",
    "m18_windows",
    "m19_payments_and_audit",
    "m20_vehicles_and_identities",
    "m21_currency",
    "m22_export_formats",
    "m23_account_tokens",
    "m24_walk_in_start",
    "m25_attendants",
    "m26_accounts",
    "m27_second_factors",
    "m28_mail_outages",
    "m29_audit_chain",
    "m30_tariffs",
];

async fn applied(db: &Db) -> Vec<String> {
    let text = "SELECT version FROM seaql_migrations ORDER BY version";
    let rows = db.read().query_all_raw(sql(db.read(), text, [])).await.unwrap();
    rows.iter().map(|row| row.try_get("", "version").unwrap()).collect()
}

/// A database with the migrations before the one that is called `name`.
async fn before(url: &str, name: &str) -> Db {
    let db = Db::connect(url, 2).await.unwrap();
    let earlier = NAMES.iter().position(|one| *one == name).unwrap();
    Migrator(testkit::for_migrations())
        .up(&db.write().pool(), Some(u32::try_from(earlier).unwrap()))
        .await
        .unwrap();
    db
}

/// A stay of an earlier release: its id, its cost, and the transaction and method that were named.
type OldStay = (i64, i64, Option<&'static str>, Option<&'static str>);

const OLD_STAYS: [OldStay; 9] = [
    (1, 2_550, Some("TXN1"), Some("UPI")),
    (2, 5_100, Some("TXN1"), Some("UPI")),
    (3, 2_550, Some("TXN1"), Some("Card")),
    (4, 2_550, Some("TXN2"), None),
    (5, 2_550, Some("TXN2"), None),
    (6, 2_550, None, Some("Cash")),
    (7, 2_550, None, None),
    (8, 0, None, None),
    (9, 2_550, Some(" TXN1 "), Some("upi")),
];

async fn insert_old_stays(db: &Db) {
    let write = db.write();
    for text in [
        "INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, created_at)
         VALUES (1, 'Ann', 'ann', 'a@b.c', 'a@b.c', '', 'user', $1)",
        "INSERT INTO lots (id, location_name, address, pincode, price_minor, number_of_slots, created_at, updated_at)
         VALUES (1, 'A', 'B', '1', 2550, 1, $1, $1)",
        "INSERT INTO spots (id, lot_id, number) SELECT 1, id, 1 FROM lots WHERE created_at = $1",
        "INSERT INTO reservations (id, user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, created_at)
         VALUES (100, 1, 1, 1, 'active', $1, $1, 2550, $1)",
    ] {
        write.execute_raw(sql(write, text, [at(after(600))])).await.unwrap();
    }
    for (id, cost, transaction, method) in OLD_STAYS {
        let text =
            "INSERT INTO reservations (id, user_id, lot_id, spot_id, state, starts_at, arrived_at, left_at,
                hourly_rate_minor, cost_minor, transaction_id, payment_method, created_at)
            VALUES ($1, 1, 1, 1, 'completed', $2, $2, $3, 2550, $4, $5, $6, $2)";
        let (arrived, left) = (at(after(10 * id)), at(after(10 * id + 5)));
        let named = [transaction, method].map(|text| text.map(str::to_owned).into());
        let values = [vec![id.into(), arrived, left, cost.into()], named.to_vec()].concat();
        write.execute_raw(sql(write, text, values)).await.unwrap();
    }
}

async fn payments_are_migrated(url: &str) {
    let db = before(url, "m19_payments_and_audit").await;
    insert_old_stays(&db).await;
    db.migrate(testkit::for_migrations()).await.unwrap();
    let text = "SELECT id, payment_state, paid_at, left_at, transaction_key, transaction_id FROM reservations ORDER BY id";
    let rows = db.read().query_all_raw(sql(db.read(), text, [])).await.unwrap();
    let mut found = Vec::new();
    for row in &rows {
        let text = |name: &str| row.try_get::<Option<String>>("", name).unwrap();
        let instant = |name: &str| row.try_get::<Option<DateTime<Utc>>>("", name).unwrap();
        let state = text("payment_state");
        assert_eq!(instant("paid_at"), instant("left_at").filter(|_| state.as_deref() == Some("paid")));
        found.push((
            row.try_get::<i64>("", "id").unwrap(),
            state,
            text("transaction_key"),
            text("transaction_id"),
        ));
    }
    let of = |id, state: &str, key: Option<&str>, named: Option<&str>| {
        (id, Some(state.to_owned()), key.map(str::to_owned), named.map(str::to_owned))
    };
    let (one, two) = (Some("TXN1"), Some("TXN2"));
    let expected = [
        of(1, "paid", one, one),
        of(2, "paid", None, one),
        of(3, "paid", one, one),
        of(4, "paid", two, two),
        of(5, "paid", None, two),
        of(6, "paid", None, None),
        of(7, "unpaid", None, None),
        of(8, "paid", None, None),
        of(9, "paid", None, Some(" TXN1 ")),
        (100, None, None, None),
    ];
    assert_eq!(found, expected, "the oldest stay keeps the transaction");
    let report = db.report(&migration::REPORTS[0]).await.unwrap().expect("a report");
    for part in [
        "3 stays name",
        "2 names the transaction of reservation 1",
        "5 names the transaction of reservation 4",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    // As a process of the release before ends a stay.
    let text = "UPDATE reservations SET state = 'completed', left_at = $1, cost_minor = 2550 WHERE id = 100";
    db.write().execute_raw(sql(db.write(), text, [at(after(700))])).await.unwrap();
    let text = "SELECT payment_state AS state FROM reservations WHERE id = 100";
    let row = db.read().query_one_raw(sql(db.read(), text, [])).await.unwrap().unwrap();
    assert_eq!(row.try_get::<String>("", "state").unwrap(), "unpaid");
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_payments_are_migrated_and_duplicates_reported() {
    let folder = tempfile::tempdir().unwrap();
    payments_are_migrated(&format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display())).await;
    payments_are_migrated(&testkit::postgres().await.create_database("old_payments").await.unwrap()).await;
}

async fn down_and_up_restores_the_schema(url: &str) {
    let (db, migrator) = (Db::connect(url, 2).await.unwrap(), Migrator(testkit::for_migrations()));
    db.migrate(testkit::for_migrations()).await.unwrap();
    let first = describe(&db).await;
    let all = first.join("\n");
    for table in shared::operations::TABLES {
        assert!(all.contains(&format!("\"{table}\"")), "{table} is missing in {all}");
    }
    assert!(all.contains("reservations_no_overlap"));

    migrator.down(&db.write().pool(), None).await.unwrap();
    let left: Vec<_> = describe(&db)
        .await
        .into_iter()
        .filter(|line| {
            !line.contains("sqlite_sequence")
                && !line.contains("seaql_")
                && !line.contains("\"name\":\"plpgsql\"")
                && !line.contains("btree_gist")
        })
        .collect();
    assert!(left.is_empty(), "tables left behind: {left:#?}");
    db.migrate(testkit::for_migrations()).await.unwrap();
    assert_eq!(describe(&db).await, first);

    // Also one by one: each migration undoes exactly what it did.
    let count = u32::try_from(migration::names().len()).unwrap();
    let mut schemas = vec![first];
    for _ in 0..count {
        migrator.down(&db.write().pool(), Some(1)).await.unwrap();
        schemas.push(describe(&db).await);
    }
    schemas.pop();
    while let Some(expected) = schemas.pop() {
        migrator.up(&db.write().pool(), Some(1)).await.unwrap();
        assert_eq!(describe(&db).await, expected);
    }
    db.migrate(testkit::for_migrations()).await.unwrap();
    assert_eq!(applied(&db).await, NAMES);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_reversible_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display());
    down_and_up_restores_the_schema(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_reversible_on_postgres() {
    let url = testkit::postgres().await.create_database("up_down_up").await.unwrap();
    down_and_up_restores_the_schema(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display());
    let postgres = testkit::postgres().await.create_database("many_at_once").await.unwrap();
    // Many SQLite files, because only some of the attempts collide.
    let files = (0..20).map(|n| sqlite.replace("a.db", &format!("{n}.db")));
    for url in files.chain([postgres]) {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move {
                    let db = Db::connect(&url, 2).await?;
                    db.migrate(testkit::for_migrations()).await?;
                    db.close().await;
                    Ok::<_, shared::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap_or_else(|error| panic!("{url}: {}", error.chain()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_has_a_synced_log_and_checks_foreign_keys() {
    // The log is synced around checkpoints by SQLite, and after each durable commit by us (decision 0059).
    let t = TestApp::start(Engine::Sqlite).await;
    for db in [t.app.db.write(), t.app.db.read()] {
        for (pragma, expected) in [("synchronous", 1), ("foreign_keys", 1)] {
            let row = db.query_one_raw(sql(db, &format!("PRAGMA {pragma}"), [])).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), expected, "{pragma}");
        }
        let row = db.query_one_raw(sql(db, "PRAGMA journal_mode", [])).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "wal");
    }
}
