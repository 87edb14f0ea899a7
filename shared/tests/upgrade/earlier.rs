//! A database of the size of the demo, as 0.2.0 left it, with everything odd that it allowed.

use sea_orm::ConnectionTrait;
use shared::platform::db::Db;

use super::rows::{COLUMNS, Payment, Place, Stay, instant, minutes, text};

/// The demo has 20 lots of 300 spots, and five drivers a spot.
const LOTS: i64 = 20;
const SPOTS: i64 = 300;
const DRIVERS: i64 = 5 * LOTS * SPOTS;
/// The migrations of 0.2.0.
const RELEASED: u32 = 17;
/// Rows in a statement.
const BATCH: usize = 2_000;

/// Prices in hundredths. Without decimal places, most of them are rounded, and some of them to nothing.
const PRICES: [i64; 8] = [2_550, 10_000, 1_999, 0, 49, 10_055, 1, 150];

/// The lot for [`oddities`]: after the last one of the demo.
pub(crate) const ODD_LOT: i64 = LOTS + 1;
/// How its stays were paid: with transactions and methods that are shared, padded, blank or missing.
pub(crate) const ODD_PAYMENTS: [Payment; 24] = [
    (Some("TWICE"), Some("UPI")),
    (Some("TWICE"), Some("UPI")),
    (Some("TWICE"), Some("Card")),
    (Some("TWICE"), None),
    (Some("THRICE"), Some("Card")),
    (Some("THRICE"), Some("Card")),
    (Some("THRICE"), Some("Card")),
    (Some("NAMELESS"), None),
    (Some("NAMELESS"), None),
    (Some("NAMELESS"), None),
    (Some("SPELLED"), Some("UPI")),
    (Some(" SPELLED"), Some("upi")),
    (Some("SPELLED  "), Some("Upi")),
    (Some("spelled"), Some("UPI")),
    (Some("PADDED"), Some("Wallet")),
    (Some("PADDED"), Some(" wallet ")),
    (None, Some("Cash")),
    (None, Some("   ")),
    (Some("   "), None),
    (Some(" "), Some(" ")),
    (Some(" "), Some("UPI")),
    (Some("  "), Some("UPI")),
    (Some("O'Neill; DROP"), Some("=SUM(A1)")),
    (None, None),
];

/// The migrations of 0.2.0 and no later ones.
async fn migrate(db: &Db) {
    use migration::{Migrator, MigratorTraitSelf};
    Migrator(testkit::for_migrations()).up(&db.write().pool(), Some(RELEASED)).await.unwrap();
}

/// Fills an empty database.
pub(crate) async fn fill(url: &str) {
    let db = Db::connect(url, 1).await.unwrap();
    migrate(&db).await;
    insert(&db, "lots", LOT_COLUMNS, (1..=ODD_LOT).map(lot)).await;
    insert(&db, "spots", "lot_id, number, retiring, retired_at", places().map(spot)).await;
    insert(&db, "users", USER_COLUMNS, (1..=DRIVERS + 1).map(user)).await;
    let stays: Vec<_> = places().flat_map(past).chain(oddities()).chain(places().flat_map(live)).collect();
    insert(&db, "reservations", COLUMNS, stays.iter().map(Stay::values)).await;
    let activity = (2..=DRIVERS / 10)
        .map(|user| format!("({user}, 'booking', '{user}', {})", instant(Some(minutes(-user)))));
    insert(&db, "user_activity", "user_id, kind, subject, created_at", activity).await;
    db.close().await;
}

async fn insert(db: &Db, table: &str, columns: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<_> = rows.collect();
    for batch in rows.chunks(BATCH) {
        let text = format!("INSERT INTO {table} ({columns}) VALUES {}", batch.join(", "));
        db.write().execute_unprepared(&text).await.unwrap();
    }
}

const LOT_COLUMNS: &str =
    "location_name, address, pincode, price_minor, number_of_slots, created_at, updated_at, archived_at";

fn lot(id: i64) -> String {
    let (created, archived) =
        (instant(Some(minutes(-600_000))), instant(is_archived(id).then(|| minutes(-5_000))));
    let in_service =
        (1..=SPOTS).filter(|number| !is_retiring(id, *number) && !is_retired(id, *number)).count();
    let slots = if is_archived(id) { SPOTS } else { i64::try_from(in_service).unwrap() };
    format!("('Lot {id}', 'A', '400001', {}, {slots}, {created}, {created}, {archived})", price(id))
}

fn price(lot: i64) -> i64 {
    let nth = usize::try_from(lot - 1).unwrap();
    PRICES[nth % PRICES.len()]
}

/// The last two lots of the demo are closed.
fn is_archived(lot: i64) -> bool {
    (LOTS - 1..=LOTS).contains(&lot)
}

/// Two lots have shrunk while cars were on the spots, and wait for them to leave.
fn is_retiring(lot: i64, number: i64) -> bool {
    lot <= 2 && number > SPOTS - 10
}

/// Two others have shrunk.
fn is_retired(lot: i64, number: i64) -> bool {
    is_archived(lot) || ((3..=4).contains(&lot) && number > SPOTS - 10)
}

/// All spots with their ids, in order.
fn places() -> impl Iterator<Item = Place> {
    (1..=ODD_LOT * SPOTS).map(|spot| {
        let lot = (spot - 1) / SPOTS + 1;
        Place { lot, spot, price: price(lot) }
    })
}

fn number(place: Place) -> i64 {
    (place.spot - 1) % SPOTS + 1
}

fn spot(place: Place) -> String {
    let (lot, number) = (place.lot, number(place));
    let retired = instant(is_retired(lot, number).then(|| minutes(-5_000)));
    format!("({lot}, {number}, {}, {retired})", is_retiring(lot, number))
}

const USER_COLUMNS: &str = "username, username_key, email, email_key, password_hash, role, vehicle_number, phone_number, \
    created_at, deleted_at";

/// The administrator, then drivers. Some are deleted; some have names, plates and phones that are spellings of each other.
fn user(id: i64) -> String {
    let (created, role) = (instant(Some(minutes(-500_000))), if id == 1 { "admin" } else { "user" });
    if is_deleted(id) {
        let (name, mail) = (format!("deleted-{id}"), format!("deleted-{id}@deleted.invalid"));
        let deleted = instant(Some(minutes(-3_000)));
        return format!(
            "('{name}', ' {name}', '{mail}', ' {mail}', 'deleted', '{role}', NULL, NULL, {created}, {deleted})"
        );
    }
    let (name, plate, phone) = match id {
        11 => ("Ann Miller".to_owned(), "MH 12 AB 1234".to_owned(), "+91 98765 43210".to_owned()),
        12 => ("Ann\u{a0}Miller".to_owned(), "mh12ab1234".to_owned(), "09876543210".to_owned()),
        13 => ("Ａｎｎ Miller".to_owned(), "MH-12-AB-1234".to_owned(), "+919876543210".to_owned()),
        _ => (format!("Driver {id}"), format!("KA{id:06}"), format!("+915{id:09}")),
    };
    let key = name.to_lowercase();
    let phone = text(Some(&phone).filter(|_| id % 7 != 0).map(String::as_str));
    format!(
        "('{name}', '{key}', 'd{id}@example.com', 'd{id}@example.com', 'x', '{role}', '{plate}', {phone}, {created}, NULL)"
    )
}

/// Only drivers without anything open, see [`live`].
fn is_deleted(id: i64) -> bool {
    id > DRIVERS / 2 && id % 50 == 0
}

/// Stays of a spot that have ended: one every hundred days, each of another driver, the last one in these days.
fn past(place: Place) -> impl Iterator<Item = Stay> {
    (0..5).filter(move |_| place.lot != ODD_LOT).map(move |nth| {
        let scatter = place.spot * 7_919 + nth * 104_729;
        let (user, from) =
            (2 + (place.spot * 5 + nth) % DRIVERS, -(440 - 108 * nth) * 1_440 - scatter % 9_000);
        let stayed = 1 + scatter % 3_000;
        let stay = if scatter % 3 == 0 {
            Stay::window(user, place, from, from + 90).arrived(scatter % 20)
        } else {
            Stay::walk_in(user, place, from)
        };
        let transaction = format!("TXN{}", place.spot * 10 + nth);
        stay.left(
            stayed,
            match scatter % 10 {
                0..4 => (Some(transaction), Some("UPI")),
                4..7 => (Some(transaction), Some("Card")),
                7 => (None, Some("Cash")),
                8 => (Some(transaction), None),
                _ => (None, None),
            },
        )
    })
}

/// What is on a spot now, or will be. Each driver has at most one stay.
fn live(place: Place) -> Vec<Stay> {
    if is_retired(place.lot, number(place)) {
        return Vec::new();
    }
    let (here, next) = (1 + place.spot, 1 + ODD_LOT * SPOTS + place.spot);
    let window = |user, from, to| Stay::window(user, place, from, to);
    match place.spot % 12 {
        0 | 1 => vec![Stay::walk_in(here, place, -180)],
        2 => vec![window(here, -120, 60).arrived(10)],
        // A driver who overstays, while the next one waits.
        3 => vec![window(here, -120, -60).arrived(0), window(next, -10, 120)],
        4 => vec![window(here, 60, 180), window(next, 180, 240)],
        5 => vec![window(here, 7_200, 7_260)],
        // Missed, and nobody has looked for it yet.
        6 => vec![window(here, -150, -90), Stay::walk_in(next, place, -30)],
        7 => vec![window(here, -60, 60)],
        8 => vec![window(here, -20, 60)],
        9 => vec![window(here, -90, -30).in_state("expired"), window(next, 300, 360).in_state("cancelled")],
        // A year ahead, in windows of a minute.
        10 => vec![window(here, 500_000, 500_001)],
        _ => Vec::new(),
    }
}

/// Stays of one driver, one after the other.
fn oddities() -> impl Iterator<Item = Stay> {
    let place = |lot| Place { lot: ODD_LOT, spot: LOTS * SPOTS + 1, price: price(lot) };
    let stay = move |nth: usize, lot, (transaction, method): Payment| {
        let from = -100_000 + 120 * i64::try_from(nth).unwrap();
        Stay::walk_in(5, place(lot), from).left(61, (transaction.map(str::to_owned), method))
    };
    let paid = ODD_PAYMENTS.into_iter().enumerate().map(move |(nth, payment)| stay(nth, 6, payment));
    // Free ones, and one that costs less than half a unit of a currency without decimal places.
    let free = [
        (4, (None, None)),
        (4, (None, Some("Cash"))),
        (4, (Some("FREE"), None)),
        (7, (None, None)),
        (7, (None, Some("UPI"))),
    ];
    paid.chain(free.into_iter().enumerate().map(move |(nth, (lot, payment))| stay(100 + nth, lot, payment)))
}
