//! Currencies with other decimal places, in processes of their own, and one currency for the life of an installation.

use serde_json::json;
use testkit::{Engine, Processes, TestApp, binary, change, number};
use tokio::process::Command;

use crate::support::{Client, ENGINES};

/// An empty database.
async fn empty(t: &TestApp, name: &str) -> String {
    match t.engine {
        Engine::Sqlite => format!("sqlite://{}?mode=rwc", t.folder().join(format!("{name}.db")).display()),
        Engine::Postgres => testkit::postgres().await.create_database(name).await.unwrap(),
    }
}

/// Whether a command succeeds, and what it prints.
async fn parkade(t: &TestApp, program: &str, arguments: &[&str], currency: &str) -> (bool, String) {
    let mut command = Command::new(binary(program));
    command.args(arguments).env_clear().envs(t.settings().iter().cloned()).env("CURRENCY", currency);
    let output = command.current_dir(t.folder()).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

/// Case 13.
#[tokio::test(flavor = "multi_thread")]
async fn prices_and_bills_have_the_decimals_of_the_currency() {
    for engine in ENGINES {
        let t = TestApp::start(engine).await;
        for (currency, price, finer, shown) in
            [("JPY", "100", "100.55", json!(100)), ("KWD", "1.234", "1.2345", json!(1.234))]
        {
            let url = empty(&t, &format!("in_{}", currency.to_lowercase())).await;
            let changed = [
                ("CURRENCY", currency),
                ("DATABASE_URL", &url),
                ("REDIS_PREFIX", &format!("{currency}{}", uuid::Uuid::new_v4().simple())),
                ("ADMIN_EMAIL", "boss@example.com"),
                ("ADMIN_PASSWORD", "Correct-horse-1"),
            ];
            let (_api, base) = Processes::of(&t, &changed).api().await;
            let client = Client::of(&base);
            let login = json!({ "email": "boss@example.com", "password": "Correct-horse-1" });
            let admin = client.post("/auth/login", "", login).await.1["token"].as_str().unwrap().to_owned();
            let lot = |price: serde_json::Value| json!({ "location_name": "A", "address": "B", "pincode": "1", "number_of_slots": 1, "price": price });
            let number = |text: &str| serde_json::from_str(text).unwrap();
            for price in [json!(finer), number(finer)] {
                let (status, answer) = client.post("/parking-lots", &admin, lot(price)).await;
                assert_eq!((status.as_u16(), &answer["errors"][0]["pointer"]), (400, &json!("/price")));
                assert!(answer["detail"].as_str().unwrap().contains("decimal places"), "{answer}");
            }
            for price in [json!(price), number(price)] {
                let (status, answer) = client.post("/parking-lots", &admin, lot(price)).await;
                assert_eq!((status.as_u16(), &answer["lot"]["price"]), (201, &shown));
            }
            let (_, booked) = client.post("/booking/book-spot", &admin, json!({ "lot_id": 1 })).await;
            let id = &booked["reservation"]["id"];
            let (_, bill) =
                client.post("/booking/release-spot", &admin, json!({ "reservation_id": id })).await;
            assert_eq!(bill["reservation"]["parking_cost"], shown, "{bill}");
        }
    }
}

#[testkit::both_databases]
async fn another_currency_is_refused_from_then_on(t: TestApp) {
    for (program, arguments) in [
        ("parkade-api", ["serve"].as_slice()),
        ("parkade-worker", &["run"]),
        ("parkade-api", &["config", "check"]),
    ] {
        let (succeeds, printed) = parkade(&t, program, arguments, "EUR").await;
        assert!(!succeeds, "{printed}");
        assert!(
            printed.contains("CURRENCY is EUR, but the amounts in this database are in INR"),
            "{printed}"
        );
        let (succeeds, printed) = parkade(&t, program, arguments, "XYZ").await;
        assert!(!succeeds && printed.contains("must be the ISO 4217 code of a currency"), "{printed}");
    }
    let (_, printed) = parkade(&t, "parkade-api", &["doctor"], "EUR").await;
    assert!(printed.contains("PROBLEM  database  CURRENCY is EUR"), "{printed}");
    let (succeeds, printed) = parkade(&t, "parkade-api", &["config", "check"], "INR").await;
    assert!(succeeds, "{printed}");
}

/// An installation of an earlier release, which stored hundredths.
#[testkit::both_databases]
async fn rounded_amounts_are_listed_and_pass_the_integrity_check(t: TestApp) {
    let asha = t.driver("Asha").await;
    let lot = t.lot(1).await;
    let stay = t.book(&asha, lot).await;
    t.release(&asha, stay).await.expect(200);
    let three_hours =
        "UPDATE reservations SET cost_minor = 7650, hourly_rate_minor = 2550, arrived_at = $1, left_at = $2";
    let arrived: chrono::DateTime<chrono::Utc> = "2026-11-20T10:00:00Z".parse().unwrap();
    let left = arrived + chrono::TimeDelta::hours(3);
    change(&t, three_hours, [shared::platform::db::at(arrived), shared::platform::db::at(left)])
        .await
        .unwrap();
    change(&t, "DELETE FROM installation", []).await.unwrap();
    let (succeeds, printed) = parkade(&t, "parkade-api", &["migrate", "up"], "JPY").await;
    assert!(succeeds, "{printed}");
    assert_eq!(number(&t, "SELECT price_minor AS n FROM lots").await, 26);
    assert_eq!(
        number(&t, "SELECT hourly_rate_minor * 1000 + cost_minor AS n FROM reservations").await,
        26_077
    );
    let (_, printed) = parkade(&t, "parkade-api", &["doctor"], "JPY").await;
    assert!(printed.contains("the upgrade rounded 3 amounts that the currency cannot express"), "{printed}");
    assert!(printed.contains(&format!("price of lots {lot} was 25.50")), "{printed}");
    let (succeeds, printed) = parkade(&t, "parkade-api", &["integrity"], "JPY").await;
    assert!(succeeds, "{printed}");
}
