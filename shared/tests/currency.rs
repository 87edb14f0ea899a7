//! The first start with a currency converts the amounts of earlier releases, once and exactly.

#![expect(clippy::unwrap_used, reason = "this is test code")]

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;
use shared::{
    base::currency::Currency,
    platform::{
        db::{Db, Engine as Kind, sql},
        installation::{AMOUNTS, rounded, settle_currency, stored_currency},
    },
};
use testkit::{Engine, TestApp};

/// A database of an earlier release with lots at these prices, in hundredths.
async fn earlier(engine: Engine, name: &str, prices: &[i64]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = match engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display()),
        Engine::Postgres => testkit::postgres().await.create_database(name).await.unwrap(),
    };
    let db = Db::connect(&url, 1).await.unwrap();
    db.migrate(testkit::for_migrations()).await.unwrap();
    let now = "2026-11-20 12:00:00+00:00";
    for price in prices {
        let lot = format!(
            "INSERT INTO lots (location_name, price_minor, address, pincode, number_of_slots, created_at, updated_at)
             VALUES ('L', {price}, 'A', '1', 1, '{now}', '{now}')"
        );
        db.write().execute_unprepared(&lot).await.unwrap();
    }
    db.close().await;
    (folder, url)
}

async fn prices(db: &Db) -> Vec<i64> {
    let rows = db.read().query_all_raw(sql(db.read(), "SELECT price_minor FROM lots ORDER BY id", [])).await;
    rows.unwrap().iter().map(|row| row.try_get("", "price_minor").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hundredths_become_minor_units_once() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        for (code, converted, not_exact) in [
            ("INR", [0, 10_055, 10_000, 50, 49], vec![]),
            (
                "JPY",
                [0, 101, 100, 1, 0],
                vec!["price of lots 2 was 100.55", "price of lots 4 was 0.50", "price of lots 5 was 0.49"],
            ),
            ("KWD", [0, 100_550, 100_000, 500, 490], vec![]),
            ("CLF", [0, 1_005_500, 1_000_000, 5_000, 4_900], vec![]),
        ] {
            let name = format!("was_{}", code.to_lowercase());
            let (_folder, url) = earlier(engine, &name, &[0, 10_055, 10_000, 50, 49]).await;
            let currency: Currency = code.parse().unwrap();
            // Processes that start together.
            let starting = (0..4).map(|_| {
                let url = url.clone();
                tokio::spawn(async move {
                    let db = Db::connect(&url, 2).await?;
                    settle_currency(&db, currency).await?;
                    db.close().await;
                    Ok::<_, shared::Error>(())
                })
            });
            for started in starting.collect::<Vec<_>>() {
                started.await.unwrap().unwrap();
            }
            let db = Db::connect(&url, 2).await.unwrap();
            assert_eq!(prices(&db).await, converted, "{code}");
            let (first, count) = rounded(db.read(), 10).await.unwrap();
            let first: Vec<_> = first.iter().map(ToString::to_string).collect();
            assert_eq!(
                (first.len(), first),
                (usize::try_from(count).unwrap(), not_exact.iter().map(ToString::to_string).collect())
            );
            assert_eq!(stored_currency(db.read()).await.unwrap().as_deref(), Some(code));
            let refused = settle_currency(&db, "EUR".parse().unwrap()).await.unwrap_err().to_string();
            assert!(refused.contains(&format!("the amounts in this database are in {code}")), "{refused}");
            assert_eq!(prices(&db).await, converted, "nothing else happens");
            db.close().await;
        }
    }
}

/// A new column with an amount must be listed, or it would stay in hundredths.
#[testkit::both_databases]
async fn every_column_with_an_amount_is_converted(t: TestApp) {
    let db = t.app.db.read();
    let text = match t.app.db.engine() {
        Kind::Sqlite => {
            "SELECT m.name AS t, c.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
        Kind::Postgres => {
            "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    let rows = db.query_all_raw(sql(db, text, [])).await.unwrap();
    let columns = rows
        .iter()
        .map(|row| (row.try_get::<String>("", "t").unwrap(), row.try_get::<String>("", "c").unwrap()));
    let found: BTreeSet<_> = columns.filter(|(_, column)| column.ends_with("_minor")).collect();
    let listed: BTreeSet<_> =
        AMOUNTS.iter().map(|(table, column)| ((*table).to_owned(), (*column).to_owned())).collect();
    assert_eq!(found, listed);
}
