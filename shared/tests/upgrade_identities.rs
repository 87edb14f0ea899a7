//! Accounts of a release before 0.3, with every kind of duplicate and oddity, after the migration.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "this is test code")]

use migration::{Migrator, MigratorTraitSelf, WithoutKey};
use sea_orm::{ConnectionTrait, FromQueryResult};
use shared::{
    base::clock::Clock,
    operations::doctor::{self, Level},
    platform::{
        config::{Config, Sources},
        db::{Db, sql},
    },
};
use testkit::{Engine, for_migrations};

/// The migrations of release 0.2.
const RELEASED: u32 = 17;

/// Id, name, address, plate, phone number.
type Account = (i64, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

const ACCOUNTS: [Account; 10] = [
    (1, "José", "ann@bücher.example", Some("MH 12 AB 1234"), Some("+91 98765 43210")),
    (2, "Jose\u{301}", "ann@xn--bcher-kva.example", Some("mh12ab1234"), Some("+919876543210")),
    (3, "driver_01", "d1@example.com", Some("MH12AB1234"), Some("9876543210")),
    (4, "Your account: https://evil.example", "d4@EXAMPLE.com", Some("--"), Some("123")),
    (5, "Anna\nMaria", "jürgen@example.com", None, None),
    (6, "O’Brien", "d6@example.com", Some("KA 1"), Some("098765 00000")),
    (7, "O'Brien", "d7@example.com", Some("KA 2"), None),
    (8, "ann@example.com", "d8@example.com.", None, Some("call me")),
    (9, "plain", "d9@example.com", Some("KA 3"), Some("+49 171 1234567")),
    (10, "deleted-10", "deleted-10@deleted.invalid", None, None),
];

async fn url(engine: Engine, folder: &tempfile::TempDir, name: &str) -> String {
    match engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", folder.path().join(format!("{name}.db")).display()),
        Engine::Postgres => testkit::postgres().await.create_database(name).await.unwrap(),
    }
}

async fn execute(db: &Db, text: &str, values: Vec<sea_orm::Value>) {
    db.write().execute_raw(sql(db.write(), text, values)).await.unwrap();
}

/// A database of release 0.2.
async fn old_database(url: &str) -> Db {
    let db = Db::connect(url, 2).await.unwrap();
    Migrator(for_migrations()).up(&db.write().pool(), Some(RELEASED)).await.unwrap();
    let now: sea_orm::Value = shared::platform::db::at(Clock::System.now());
    for (id, name, email, plate, phone) in ACCOUNTS {
        let text = "INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, vehicle_number, phone_number,
                created_at, deleted_at)
            VALUES ($1, $2, $3, $4, $5, 'x', 'user', $6, $7, $8, $9)";
        let deleted = if id == 10 { now.clone() } else { shared::platform::db::at(None) };
        let values = vec![
            id.into(),
            name.into(),
            name.to_lowercase().into(),
            email.into(),
            email.to_lowercase().into(),
            plate.map(str::to_owned).into(),
            phone.map(str::to_owned).into(),
            now.clone(),
            deleted,
        ];
        execute(&db, text, values).await;
    }
    let lot = "INSERT INTO lots (id, location_name, address, pincode, price_minor, number_of_slots, version, created_at, updated_at)
        VALUES (1, 'A', 'A', '1', 100, 1, 1, $1, $1)";
    execute(&db, lot, vec![now.clone()]).await;
    execute(&db, "INSERT INTO spots (id, lot_id, number) VALUES (1, 1, 1)", vec![]).await;
    for user in [1, 5] {
        let text = "INSERT INTO reservations (user_id, lot_id, spot_id, state, starts_at, hourly_rate_minor, created_at)
            VALUES ($1, 1, 1, 'cancelled', $2, 100, $2)";
        execute(&db, text, vec![i64::from(user).into(), now.clone()]).await;
    }
    db
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct Row {
    id: i64,
    email: String,
    name_key: Option<String>,
    mail_key: Option<String>,
    phone_number: Option<String>,
    phone_key: Option<String>,
    vehicle_number: Option<String>,
    plate_key: Option<String>,
}

async fn rows(db: &Db) -> Vec<Row> {
    let text = "SELECT u.id, email, name_key, mail_key, phone_number, phone_key, vehicle_number, plate_key
        FROM users u LEFT JOIN vehicles v ON v.user_id = u.id ORDER BY u.id";
    Row::find_by_statement(sql(db.read(), text, [])).all(db.read()).await.unwrap()
}

async fn accounts_of_an_older_release_keep_everything(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let url = url(engine, &folder, "old_accounts").await;
    let db = old_database(&url).await;
    db.migrate(for_migrations()).await.unwrap();
    let rows = rows(&db).await;
    let keys = |id: usize| {
        let row = &rows[id - 1];
        [&row.name_key, &row.mail_key, &row.phone_key, &row.plate_key]
            .map(|key| key.as_deref().unwrap_or("none"))
    };
    assert_eq!(
        keys(1),
        ["josé", "ann@xn--bcher-kva.example", "+919876543210", "MH12AB1234"],
        "the oldest has the keys"
    );
    assert_eq!(keys(2), ["none"; 4]);
    assert_eq!(keys(3), ["driver_01", "d1@example.com", "none", "none"]);
    assert_eq!(keys(4), ["your account: https://evil.example", "d4@example.com", "none", "none"]);
    assert_eq!(keys(5), ["none"; 4]);
    assert_eq!(keys(6), ["o'brien", "d6@example.com", "+919876500000", "KA1"]);
    assert_eq!(keys(7), ["none", "d7@example.com", "none", "KA2"]);
    assert_eq!(keys(8), ["ann@example.com", "d8@example.com", "none", "none"]);
    assert_eq!(keys(10), ["none"; 4]);
    for (row, (_, _, email, plate, phone)) in rows.iter().zip(ACCOUNTS) {
        assert_eq!(row.vehicle_number.as_deref(), plate, "{row:?}");
        let is_same =
            |shown: &str| shown == phone.unwrap_or_default() || Some(shown) == row.phone_key.as_deref();
        assert!(row.phone_number.as_deref().is_none_or(is_same), "{row:?}");
        assert!(row.email == email || row.mail_key.as_ref() == Some(&row.email) || row.id == 2, "{row:?}");
    }
    assert_eq!(
        rows[0].phone_number.as_deref(),
        Some("+91 98765 43210"),
        "the complete one is shown by another account"
    );
    assert_eq!(rows[8].phone_number.as_deref(), Some("+491711234567"));
    assert_eq!((&*rows[1].email, &*rows[4].email), ("ann@xn--bcher-kva.example", "jürgen@example.com"));
    let plates = "SELECT COALESCE(plate, 'none') AS plate FROM reservations ORDER BY id";
    let plates = db.read().query_all_raw(sql(db.read(), plates, [])).await.unwrap();
    let plates: Vec<String> = plates.iter().map(|row| row.try_get("", "plate").unwrap()).collect();
    assert_eq!(plates, ["MH 12 AB 1234", "none"]);

    let found = migration::without_key(db.read()).await.unwrap();
    let expected = [
        ("user name", vec![2, 5, 7]),
        ("mail address", vec![2, 5]),
        ("phone number", vec![2, 3, 4, 8]),
        ("plate", vec![2, 3, 4]),
    ];
    let expected = expected.map(|(what, users)| WithoutKey { what, count: users.len() as i64, users });
    assert_eq!(found, expected);
    db.close().await;

    let settings = [("DATABASE_URL", url.as_str()), ("REDIS_PORT", "1"), ("APP_ENV", "testing")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(Sources::of(settings)).unwrap();
    let findings = doctor::examine(&config, &Clock::System).await;
    let warnings: Vec<_> = findings
        .iter()
        .filter(|finding| {
            finding.verdict.level == Level::Warning && finding.verdict.what.contains("not kept unique")
        })
        .map(|finding| finding.verdict.what.as_str())
        .collect();
    assert_eq!(
        warnings,
        [
            "the user name of 3 accounts is not kept unique: user 2, 5, 7",
            "the mail address of 2 accounts is not kept unique: user 2, 5",
            "the phone number of 4 accounts is not kept unique: user 2, 3, 4, 8",
            "the plate of 3 accounts is not kept unique: user 2, 3, 4",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_0_2_keep_everything_on_sqlite() {
    accounts_of_an_older_release_keep_everything(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_0_2_keep_everything_on_postgres() {
    accounts_of_an_older_release_keep_everything(Engine::Postgres).await;
}

async fn many_accounts_migrate_in_batches(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let url = url(engine, &folder, "many_accounts").await;
    let db = Db::connect(&url, 2).await.unwrap();
    let migrator = Migrator(for_migrations());
    migrator.up(&db.write().pool(), Some(RELEASED)).await.unwrap();
    let text = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3001)
        INSERT INTO users (id, username, username_key, email, email_key, password_hash, role, vehicle_number, phone_number, created_at)
        SELECT i, 'u' || i, 'u' || i, 'u' || i || '@example.com', 'u' || i || '@example.com', 'x', 'user', 'MH ' || i,
            '98' || (10000000 + i), $1 FROM n";
    execute(&db, text, vec![shared::platform::db::at(Clock::System.now())]).await;
    db.migrate(for_migrations()).await.unwrap();
    let count = "SELECT COUNT(*) AS n FROM users u JOIN vehicles v ON v.user_id = u.id
        WHERE name_key = 'u' || u.id AND mail_key = email AND phone_number = phone_key AND phone_key LIKE '+9198%'
          AND plate_key = 'MH' || u.id";
    let row = db.read().query_one_raw(sql(db.read(), count, [])).await.unwrap().expect("a row");
    assert_eq!(row.try_get::<i64>("", "n").unwrap(), 3001);
    assert_eq!(migration::without_key(db.read()).await.unwrap(), []);
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_accounts_migrate_in_batches_on_sqlite() {
    many_accounts_migrate_in_batches(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_accounts_migrate_in_batches_on_postgres() {
    many_accounts_migrate_in_batches(Engine::Postgres).await;
}
