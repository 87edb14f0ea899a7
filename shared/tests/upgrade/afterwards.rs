//! The upgraded installation at work.

use shared::{
    base::{error::Error, identity::Identity},
    parking::{bookings, reports::admin, rules::payment::Payment},
    platform::idempotency::Idempotency,
};
use testkit::TestApp;

use super::{
    earlier::ODD_LOT,
    expected::Expected,
    rows::{Stay, now},
};

fn driver(stay: &Stay) -> Identity {
    Identity {
        user_id: stay.user_id,
        is_admin: false,
        must_enrol: false,
        is_attendant: false,
        session_id: uuid::Uuid::nil(),
        address: None,
    }
}

fn payment(transaction: &str) -> Payment {
    Payment { transaction_id: Some(transaction.to_owned()), method: Some("upi".to_owned()) }
}

fn started_hours(stay: &Stay) -> i64 {
    ((now() - stay.parking_time()).num_minutes() + 59) / 60
}

/// Stays that ran during the upgrade end with their converted rate, unpaid bills are paid, windows are moved and expire.
pub(crate) async fn life_goes_on(t: &TestApp, expected: &Expected) {
    let before = admin::report(&t.app).await.unwrap();
    let running: Vec<_> =
        expected.stays.iter().filter(|stay| stay.state == "active" && stay.hourly_rate_minor > 0).collect();
    let [first, .., last] = running.as_slice() else { panic!("stays are running") };
    let release = async |stay: &Stay, transaction: &str| {
        let (who, payment) = (driver(stay), payment(transaction));
        let bill = bookings::release_spot(&t.app, &who, stay.id, payment, Idempotency::none()).await;
        bill.map(|bill| bill.cost.minor())
    };
    let used = release(first, "TWICE").await;
    assert!(matches!(used, Err(Error::Conflict { code: "transaction_used", .. })), "{used:?}");
    let paid = release(first, "TXN-A").await.unwrap() + release(last, "TXN-B").await.unwrap();
    let [a, b] = [first, last].map(|stay| stay.hourly_rate_minor * started_hours(stay));
    assert_eq!(paid, a + b);

    let unpaid = expected
        .stays
        .iter()
        .filter(|stay| stay.lot_id == ODD_LOT && stay.has_ended() && !super::expected::is_paid(stay));
    let mut settled = 0;
    for (stay, nth) in unpaid.zip(0..) {
        let (who, payment) = (driver(stay), payment(&format!("LATER{nth}")));
        settled +=
            bookings::pay(&t.app, &who, stay.id, payment, Idempotency::none()).await.unwrap().cost.minor();
    }
    assert!(settled > 0);
    let after = admin::report(&t.app).await.unwrap();
    assert_eq!(after.revenue.minor(), before.revenue.minor() + paid + settled);
    assert_eq!(after.outstanding.minor(), before.outstanding.minor() - settled);

    assert!(bookings::expire_no_shows(&t.app).await.unwrap() > 0, "missed windows are found");
    bookings::reseat_all(&t.app).await.unwrap();
    t.is_sound().await;
}
