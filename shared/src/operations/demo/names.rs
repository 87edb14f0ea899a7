//! Made-up names, addresses and number plates.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// City, first three digits of its postal codes, prefix of its number plates.
const CITIES: [(&str, u32, &str); 10] = [
    ("Mumbai", 400, "MH01"),
    ("Pune", 411, "MH12"),
    ("Delhi", 110, "DL03"),
    ("Bengaluru", 560, "KA05"),
    ("Chennai", 600, "TN09"),
    ("Kolkata", 700, "WB06"),
    ("Hyderabad", 500, "TS08"),
    ("Ahmedabad", 380, "GJ01"),
    ("Jaipur", 302, "RJ14"),
    ("Kochi", 682, "KL07"),
];

const PLACES: [&str; 16] = [
    "Central Station",
    "City Hall",
    "Market Square",
    "Riverside",
    "Old Town",
    "University",
    "General Hospital",
    "Airport T2",
    "Trade Fair",
    "Opera",
    "Stadium North",
    "Metro Interchange",
    "Tech Park",
    "Harbour",
    "Museum Quarter",
    "Botanical Garden",
];

const KINDS: [&str; 5] = ["Parkade", "Car Park", "Garage", "Underground Parking", "Park & Ride"];

const STREETS: [&str; 8] = [
    "MG Road",
    "Station Road",
    "Link Road",
    "Church Street",
    "Ring Road",
    "Lake View Road",
    "Mill Lane",
    "Fort Street",
];

/// Texts that break careless CSV, spreadsheet, mail and terminal code. They are put in front of an ordinary name.
const AWKWARD: [&str; 10] = [
    "The \"Blue\" Deck,",
    "O'Connell's",
    "=1+1",
    "Level 1\nLevel 2",
    "केंद्रीय वाहन तल",
    "中央停車場",
    "موقف السيارات",
    "Tiefgarage Süd; Ost",
    "@home +5 -2",
    "Парковка <b>№ 1</b> & {{ co }}",
];

const FIRST: [&str; 24] = [
    "Aarav", "Priya", "Rohan", "Ananya", "Vikram", "Meera", "Arjun", "Kavya", "Sanjay", "Nisha", "Farhan",
    "Ayesha", "Joseph", "Maria", "Gurpreet", "Harleen", "Tenzin", "Lakshmi", "Imran", "Divya", "Kabir",
    "Zoya", "Nikhil", "Ritu",
];

const LAST: [&str; 24] = [
    "Sharma",
    "Patel",
    "Iyer",
    "Khan",
    "Fernandes",
    "Singh",
    "Das",
    "Nair",
    "Reddy",
    "Gupta",
    "Bose",
    "Joshi",
    "Mehta",
    "Kulkarni",
    "Menon",
    "Ansari",
    "Thomas",
    "Kaur",
    "Rao",
    "Bhutia",
    "Pillai",
    "Verma",
    "Shetty",
    "Chawla",
];

/// Names that break careless code, such as a formula for spreadsheets.
const AWKWARD_PEOPLE: [&str; 8] = [
    "Rita \"Bunny\" O'Neill, Jr.",
    "-Anna, Maria",
    "Tom & Ann (Annie)",
    "आरव शर्मा",
    "王小明",
    "محمد علي",
    "Zoë Ångström-Łukasiewicz",
    "D’Souza_Jean‐Luc",
];

/// A random entry.
fn pick<T: Copy>(list: &[T], rng: &mut ChaCha8Rng) -> T {
    list[rng.random_range(0..list.len())]
}

/// Name, address and postal code of lot `index`. Names are unique, and every third is awkward.
pub(super) fn place(index: usize, rng: &mut ChaCha8Rng) -> (String, String, String) {
    let (city, zone, _) = pick(&CITIES, rng);
    let round = index / PLACES.len();
    let mut name = format!("{} {}", PLACES[index % PLACES.len()], KINDS[round % KINDS.len()]);
    if round >= KINDS.len() {
        name = format!("{name} {}", round / KINDS.len() + 1);
    }
    if index % 3 == 2 {
        name = format!("{} {name}", AWKWARD[index / 3 % AWKWARD.len()]);
    }
    let address = format!("{}, {}, {city}", rng.random_range(1..200), pick(&STREETS, rng));
    (name, address, format!("{zone}{:03}", rng.random_range(1..100)))
}

/// Unique name and mail address of user `id`. Every fiftieth name is awkward.
pub(super) fn person(id: i64, rng: &mut ChaCha8Rng) -> (String, String) {
    let (first, last) = (pick(&FIRST, rng), pick(&LAST, rng));
    let awkward = pick(&AWKWARD_PEOPLE, rng);
    let domain = pick(&["example.com", "example.test"], rng);
    let name = if id % 50 == 7 { format!("{awkward} {id}") } else { format!("{first} {last} {id}") };
    (name, format!("{first}.{last}.{id}@{domain}").to_lowercase())
}

/// The number plate of user `id`, such as `MH12AB1234`. Unique for the first 6.7 million users.
pub(super) fn plate(id: i64, rng: &mut ChaCha8Rng) -> String {
    // 7,919 is coprime to the period, so nothing repeats within it, and neighbours look unrelated.
    let scrambled = id.unsigned_abs() * 7_919 % (26 * 26 * 9_999);
    let (letters, number) = (scrambled / 9_999, scrambled % 9_999 + 1);
    let letter = |n: u64| char::from(b'A' + u8::try_from(n % 26).unwrap_or_default());
    format!("{}{}{}{number:04}", pick(&CITIES, rng).2, letter(letters / 26), letter(letters))
}

/// The phone number of user `id`. Indian mobile numbers begin with 6 to 9, so these reach nobody.
pub(super) fn phone(id: i64) -> String {
    format!("+915{:09}", id.unsigned_abs() * 7_919 % 1_000_000_000)
}
