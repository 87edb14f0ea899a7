//! Days on which the clocks change, in zones that do it differently, and one that never does.

use chrono_tz::Tz;
use tariff::Line;

use crate::table::{Table, When, flat, per_day, step, tariff};

fn hours(zone: Tz) -> Table {
    tariff([step("Hour", 100, 60)]).in_zone(zone)
}

/// A special price for a part of the day, in steps of half an hour.
fn special(zone: Tz, from: &str, to: &str) -> Table {
    let lines: [Line; 2] = [step("Special", 500, 30).between(from, to), step("Other", 100, 30)];
    tariff(lines).in_zone(zone)
}

#[test]
fn a_day_is_billed_by_its_real_hours() {
    let table = [
        (Tz::Europe__Berlin, "2026-03-29", "2026-03-30", 23),
        (Tz::Europe__Berlin, "2026-10-25", "2026-10-26", 25),
        (Tz::America__New_York, "2026-03-08", "2026-03-09", 23),
        (Tz::America__New_York, "2026-11-01", "2026-11-02", 25),
        (Tz::America__Santiago, "2026-04-04", "2026-04-05", 25),
        (Tz::Australia__Lord_Howe, "2026-04-05", "2026-04-06", 25), // 24.5
        (Tz::Australia__Lord_Howe, "2026-10-04", "2026-10-05", 24), // 23.5
        (Tz::Asia__Kolkata, "2026-03-29", "2026-03-30", 24),
        (Tz::Asia__Kolkata, "2026-10-25", "2026-10-26", 24),
    ];
    for (zone, day, next, real) in table {
        let bill = format!("{real} x Hour {real}.00 = {real}.00");
        hours(zone).check(&[(&format!("{day} 00:00"), &format!("{next} 00:00"), &bill)]);
        let capped = format!("{real} x Hour {real}.00, Maximum per day -{}.00 = 20.00", real - 20);
        let table = hours(zone).capped(per_day(2000));
        table.check(&[(&format!("{day} 00:00"), &format!("{next} 00:00"), &capped)]);
    }
}

#[test]
fn berlin_repeats_an_hour() {
    special(Tz::Europe__Berlin, "02:00", "03:00").check(&[
        ("2026-10-25 00:00", "2026-10-25 05:00", "4 x Other 4.00, 4 x Special 20.00, 4 x Other 4.00 = 28.00"),
        ("2026-10-25 02:30 +02:00", "2026-10-25 02:30 +01:00", "2 x Special 10.00 = 10.00"),
        ("2026-10-25 02:30 +02:00", "2026-10-25 02:30 +02:00", "1 x Special 5.00 = 5.00"),
    ]);
    special(Tz::Europe__Berlin, "02:30", "03:00").check(&[(
        "2026-10-25 02:00 +02:00",
        "2026-10-25 03:30",
        "1 x Other 1.00, 1 x Special 5.00, 1 x Other 1.00, 1 x Special 5.00, 1 x Other 1.00 = 13.00",
    )]);
    // A flat amount whose window begins twice is charged twice.
    tariff([flat("Half past two", 300).between("02:30", "03:00"), step("Other", 100, 30)]).check(&[(
        "2026-10-25 02:00 +02:00",
        "2026-10-25 03:30",
        "1 x Other 1.00, 1 x Half past two 3.00, 1 x Other 1.00, 1 x Half past two 3.00, 1 x Other 1.00 = 9.00",
    )]);
}

#[test]
fn berlin_skips_an_hour() {
    special(Tz::Europe__Berlin, "02:00", "03:00").check(&[
        ("2026-03-29 00:00", "2026-03-29 05:00", "8 x Other 8.00 = 8.00"),
        ("2026-03-28 00:00", "2026-03-28 05:00", "4 x Other 4.00, 2 x Special 10.00, 4 x Other 4.00 = 18.00"),
    ]);
    special(Tz::Europe__Berlin, "02:30", "04:00").check(&[(
        "2026-03-29 01:00",
        "2026-03-29 04:30", // begins at 03:00, the next instant that there is
        "2 x Other 2.00, 2 x Special 10.00, 1 x Other 1.00 = 13.00",
    )]);
    special(Tz::Europe__Berlin, "01:00", "02:30").check(&[(
        "2026-03-29 00:30",
        "2026-03-29 03:30", // ends at 03:00
        "1 x Other 1.00, 2 x Special 10.00, 1 x Other 1.00 = 12.00",
    )]);
}

#[test]
fn new_york_nights_are_an_hour_longer_or_shorter() {
    let night = step("Night", 100, 60).between("22:00", "06:00");
    tariff([night, step("Day", 300, 60)]).in_zone(Tz::America__New_York).check(&[
        ("2026-10-31 21:00", "2026-11-01 07:00", "1 x Day 3.00, 9 x Night 9.00, 1 x Day 3.00 = 15.00"),
        ("2026-03-07 21:00", "2026-03-08 07:00", "1 x Day 3.00, 7 x Night 7.00, 1 x Day 3.00 = 13.00"),
        ("2026-03-09 21:00", "2026-03-10 07:00", "1 x Day 3.00, 8 x Night 8.00, 1 x Day 3.00 = 14.00"),
    ]);
}

#[test]
fn santiago_changes_the_clocks_at_midnight() {
    // At 24:00 on April 4 it is 23:00 again.
    let evening = || flat("Evening", 400).between("18:00", "24:00");
    tariff([evening(), step("Hour", 100, 60)]).in_zone(Tz::America__Santiago).check(&[(
        "2026-04-04 17:00",
        "2026-04-05 01:00",
        "1 x Hour 1.00, 1 x Evening 4.00, 1 x Hour 1.00 = 6.00",
    )]);
    tariff([step("Hour", 100, 60)]).in_zone(Tz::America__Santiago).capped(per_day(150)).check(&[(
        "2026-04-04 22:00",
        "2026-04-05 01:00", // the repeated hour belongs to the same day
        "3 x Hour 3.00, Maximum per day -1.50, 1 x Hour 1.00 = 2.50",
    )]);
    // September 6 begins at 01:00.
    let night = step("Night", 50, 60).between("00:00", "06:00");
    tariff([night, step("Day", 100, 60)]).in_zone(Tz::America__Santiago).check(&[
        ("2026-09-05 22:00", "2026-09-06 03:00", "2 x Day 2.00, 2 x Night 1.00 = 3.00"),
        ("2026-09-06 01:00", "2026-09-07 00:00", "5 x Night 2.50, 18 x Day 18.00 = 20.50"),
    ]);
}

#[test]
fn lord_howe_moves_the_clocks_by_half_an_hour() {
    special(Tz::Australia__Lord_Howe, "01:30", "02:00").check(&[
        ("2026-04-05 01:00", "2026-04-05 02:30", "1 x Other 1.00, 2 x Special 10.00, 1 x Other 1.00 = 12.00"),
        ("2026-04-06 01:00", "2026-04-06 02:30", "1 x Other 1.00, 1 x Special 5.00, 1 x Other 1.00 = 7.00"),
    ]);
    special(Tz::Australia__Lord_Howe, "02:15", "03:00").check(&[(
        "2026-10-04 01:30",
        "2026-10-04 03:30",
        "1 x Other 1.00, 1 x Special 5.00, 1 x Other 1.00 = 7.00",
    )]);
    let half_hours = tariff([step("Half hour", 100, 30)]).in_zone(Tz::Australia__Lord_Howe);
    half_hours.check(&[
        ("2026-04-05 00:00", "2026-04-06 00:00", "49 x Half hour 49.00 = 49.00"),
        ("2026-10-04 00:00", "2026-10-05 00:00", "47 x Half hour 47.00 = 47.00"),
    ]);
}

#[test]
fn kolkata_days_begin_between_hours_of_utc() {
    let night = step("Night", 50, 15).between("22:00", "06:00");
    tariff([night, step("Day", 100, 15)]).in_zone(Tz::Asia__Kolkata).capped(per_day(300)).check(&[
        ("2026-03-02 21:45", "2026-03-02 22:15", "1 x Day 1.00, 1 x Night 0.50 = 1.50"),
        ("2026-03-02 23:30", "2026-03-03 00:30", "2 x Night 1.00, 2 x Night 1.00 = 2.00"),
        (
            "2026-03-02 20:00",
            "2026-03-03 00:15",
            "8 x Day 8.00, 8 x Night 4.00, Maximum per day -9.00, 1 x Night 0.50 = 3.50",
        ),
    ]);
}

#[test]
fn a_day_that_returns_has_one_cap() {
    // In St. John's, 00:01 on November 7, 2010, was 23:01 on November 6 again.
    let table = tariff([step("Half hour", 100, 30)]).in_zone(Tz::America__St_Johns).capped(per_day(200));
    table.check(&[(
        "2010-11-06 23:00",
        "2010-11-07 01:00",
        "2 x Half hour 2.00, 1 x Half hour 1.00, 1 x Half hour 1.00, Maximum per day -1.00, \
         2 x Half hour 2.00, Maximum per day -1.00 = 4.00",
    )]);
}
