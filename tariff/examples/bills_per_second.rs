//! How many bills a core makes in a second: `cargo run --release -p tariff --example bills_per_second`.

#![expect(clippy::print_stdout, reason = "a command line")]

use std::{collections::BTreeSet, hint::black_box};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use tariff::{Version, bill};

const TEN_LINES: &str = r#"{
    "currency": "EUR", "free_minutes": 15, "exit_grace_minutes": 10,
    "lines": [
        {"name": "Holiday", "weekdays": [], "amount": 800, "charge": {"kind": "flat"}},
        {"name": "Lost ticket", "amount": 4000, "charge": {"kind": "lost_ticket"}},
        {"name": "First half hour", "elapsed": {"to": 30}, "amount": 100, "charge": {"kind": "step", "minutes": 30}},
        {"name": "Weekend night", "weekdays": ["Fri", "Sat"], "window": {"from": "22:00", "to": "05:00"}, "amount": 150, "charge": {"kind": "step", "minutes": 30}},
        {"name": "Night", "window": {"from": "22:00", "to": "06:00"}, "amount": 500, "charge": {"kind": "flat"}},
        {"name": "Sunday", "weekdays": ["Sun"], "amount": 100, "charge": {"kind": "step", "minutes": 60}},
        {"name": "Rush hour", "weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri"], "window": {"from": "07:30", "to": "09:30"}, "amount": 300, "charge": {"kind": "step", "minutes": 30}},
        {"name": "Evening", "window": {"from": "18:00", "to": "22:00"}, "amount": 200, "charge": {"kind": "step", "minutes": 60}},
        {"name": "By the minute", "elapsed": {"to": 240}, "amount": 400, "charge": {"kind": "step", "minutes": 1, "per_minutes": 60}},
        {"name": "Day", "amount": 250, "charge": {"kind": "step", "minutes": 60}}
    ],
    "caps": {"per_day": 2500, "per_24_hours": 3000},
    "tax": {"included": true, "rates": [{"name": "VAT", "per_hundred_thousand": 19000}]}
}"#;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let ten_lines: Version = serde_json::from_str(TEN_LINES)?;
    if let Err(problems) = ten_lines.validate() {
        return Err(format!("{problems:?}").into());
    }
    let hourly = Version::hourly("INR", 4000);
    measure("every started hour, stays up to 12 hours", 1_000_000, &hourly, 0, 12 * 3600)?;
    measure("ten lines, stays of three days", 100_000, &ten_lines, 3 * 86_400, 3600)
}

/// Prints the bills made in a second of processor time, of stays at all times of a year.
fn measure(what: &str, promised: u32, version: &Version, shortest: i64, spread: i64) -> Result<(), Error> {
    let (mut bills, mut lines, begin) = (0i64, 0usize, processor_time()?);
    let holidays: BTreeSet<NaiveDate> = ["2026-05-01".parse()?, "2026-12-25".parse()?].into();
    let year = DateTime::<Utc>::from_timestamp(1_767_225_600, 0).ok_or("no such time")?;
    while processor_time()? - begin < 2e9 {
        for _ in 0..1000 {
            let seed = bills * 7919;
            let arrival = year + TimeDelta::seconds(seed % 31_536_000);
            let departure = arrival + TimeDelta::seconds(shortest + seed % spread);
            let bill = bill(black_box(version), arrival, departure, Tz::Europe__Berlin, &holidays);
            lines += black_box(&bill).lines.len();
            bills += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (bills, lines) = (bills as f64, lines as f64);
    let rate = bills / (processor_time()? - begin) * 1e9;
    println!("{what}: {rate:.0} bills a second, {:.1} lines each (promised: {promised})", lines / bills);
    Ok(())
}

/// The nanoseconds that this thread has run, whatever else the machine does.
fn processor_time() -> Result<f64, Error> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no time")?.parse()?)
}
