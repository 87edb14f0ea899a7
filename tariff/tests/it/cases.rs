//! One rule after the other. March 2, 2026, is a Monday.

use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
use tariff::{Caps, Line};

use crate::table::{When, flat, hourly_in_steps, lost, per_24_hours, per_day, per_stay, step, tariff};

const MONDAY: &str = "2026-03-02 08:00";
const WORKDAYS: [chrono::Weekday; 5] = [Mon, Tue, Wed, Thu, Fri];

fn hour() -> Line {
    step("Hour", 200, 60)
}

#[test]
fn every_started_step_is_charged_at_least_one() {
    tariff([step("Hour", 250, 60)]).check(&[
        (MONDAY, "2026-03-02 07:00", "1 x Hour 2.50 = 2.50"), // a clock that went back
        (MONDAY, "+0:00", "1 x Hour 2.50 = 2.50"),
        (MONDAY, "+0:00:01", "1 x Hour 2.50 = 2.50"),
        (MONDAY, "+1:00", "1 x Hour 2.50 = 2.50"),
        (MONDAY, "+1:00:01", "2 x Hour 5.00 = 5.00"),
        (MONDAY, "+24:00", "24 x Hour 60.00 = 60.00"),
        (MONDAY, "+720:00", "720 x Hour 1800.00 = 1800.00"),
    ]);
}

#[test]
fn longer_than_the_free_minutes_counts_from_the_first() {
    tariff([step("Quarter", 50, 15)]).free(15).check(&[
        (MONDAY, "+0:00", "Free minutes = 0.00"),
        (MONDAY, "+0:15", "Free minutes = 0.00"),
        (MONDAY, "+0:15:01", "2 x Quarter 1.00 = 1.00"),
        (MONDAY, "+0:31", "3 x Quarter 1.50 = 1.50"),
    ]);
}

#[test]
fn a_step_within_the_exit_grace_is_not_charged() {
    tariff([hour()]).grace(10).check(&[
        (MONDAY, "+0:05", "1 x Hour 2.00 = 2.00"),
        (MONDAY, "+1:00", "1 x Hour 2.00 = 2.00"),
        (MONDAY, "+1:10", "1 x Hour 2.00, Exit grace = 2.00"),
        (MONDAY, "+1:10:01", "2 x Hour 4.00 = 4.00"),
        (MONDAY, "+2:10", "2 x Hour 4.00, Exit grace = 4.00"),
    ]);
    tariff([hour()]).free(15).grace(10).check(&[
        (MONDAY, "+0:15", "Free minutes = 0.00"),
        (MONDAY, "+0:20", "1 x Hour 2.00 = 2.00"), // the grace does not make free minutes longer
    ]);
    let evening = flat("Evening", 400).between("18:00", "24:00");
    tariff([evening, hour()]).grace(10).check(&[
        ("2026-03-02 17:00", "2026-03-02 18:10", "1 x Hour 2.00, Exit grace = 2.00"),
        ("2026-03-02 17:00", "2026-03-02 18:11", "1 x Hour 2.00, 1 x Evening 4.00 = 6.00"),
        ("2026-03-02 18:00", "2026-03-02 18:05", "1 x Evening 4.00 = 4.00"),
        ("2026-03-02 18:00", "2026-03-02 23:59", "1 x Evening 4.00 = 4.00"),
    ]);
}

#[test]
fn nights_reach_over_midnight() {
    let night = flat("Night", 500).between("22:00", "06:00");
    tariff([night, step("Day", 200, 60)]).check(&[
        (MONDAY, "+2:00", "2 x Day 4.00 = 4.00"),
        ("2026-03-02 21:00", "2026-03-02 22:00", "1 x Day 2.00 = 2.00"),
        ("2026-03-02 21:00", "2026-03-02 22:00:01", "1 x Day 2.00, 1 x Night 5.00 = 7.00"),
        // A step that began before the night ends as it began.
        ("2026-03-02 21:30", "2026-03-02 22:30", "1 x Day 2.00 = 2.00"),
        ("2026-03-02 21:30", "2026-03-02 23:00", "1 x Day 2.00, 1 x Night 5.00 = 7.00"),
        ("2026-03-02 23:00", "2026-03-03 05:00", "1 x Night 5.00 = 5.00"),
        ("2026-03-03 05:59", "2026-03-03 06:00", "1 x Night 5.00 = 5.00"),
        ("2026-03-03 05:59", "2026-03-03 06:01", "1 x Night 5.00, 1 x Day 2.00 = 7.00"),
        ("2026-03-02 22:00", "2026-03-03 22:00", "1 x Night 5.00, 16 x Day 32.00 = 37.00"),
        ("2026-03-02 22:00", "2026-03-03 22:01", "1 x Night 5.00, 16 x Day 32.00, 1 x Night 5.00 = 42.00"),
    ]);
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let party = step("Party", 300, 30).between("22:00", "04:00").on(&[Fri, Sat]);
    tariff([party, step("Other", 100, 60)]).check(&[
        ("2026-03-06 22:00", "2026-03-06 23:00", "2 x Party 6.00 = 6.00"), // Friday
        ("2026-03-07 03:00", "2026-03-07 04:30", "2 x Party 6.00, 1 x Other 1.00 = 7.00"),
        ("2026-03-08 03:00", "2026-03-08 04:00", "2 x Party 6.00 = 6.00"), // Sunday, but still Saturday night
        ("2026-03-06 03:00", "2026-03-06 04:00", "1 x Other 1.00 = 1.00"), // Friday, but still Thursday night
        ("2026-03-08 23:00", "2026-03-09 00:00", "1 x Other 1.00 = 1.00"),
        ("2026-03-09 03:00", "2026-03-09 04:00", "1 x Other 1.00 = 1.00"),
        ("2026-03-06 21:00", "2026-03-07 05:00", "1 x Other 1.00, 12 x Party 36.00, 1 x Other 1.00 = 38.00"),
    ]);
}

#[test]
fn holidays_are_a_kind_of_day() {
    let lines = [
        flat("Holiday night", 300).between("22:00", "06:00").on(&[]).and_holidays(),
        step("Workday", 200, 60).on(&WORKDAYS),
        flat("Weekend", 100),
    ];
    tariff(lines).with_holidays(&["2026-12-25"]).check(&[
        ("2026-12-24 10:00", "+2:00", "2 x Workday 4.00 = 4.00"),
        ("2026-12-24 22:00", "2026-12-25 02:00", "2 x Workday 4.00, 1 x Weekend 1.00 = 5.00"),
        ("2026-12-25 10:00", "+2:00", "1 x Weekend 1.00 = 1.00"), // a Friday
        ("2026-12-25 21:00", "+2:00", "1 x Weekend 1.00, 1 x Holiday night 3.00 = 4.00"),
        ("2026-12-26 05:00", "+2:00", "1 x Holiday night 3.00, 1 x Weekend 1.00 = 4.00"), // Saturday
        ("2026-12-26 10:00", "+2:00", "1 x Weekend 1.00 = 1.00"),
        ("2026-12-28 10:00", "+2:00", "2 x Workday 4.00 = 4.00"),
    ]);
}

#[test]
fn caps_apply_to_each_of_three_days() {
    tariff([hour()]).capped(per_day(1000)).check(&[
        (MONDAY, "+5:00", "5 x Hour 10.00 = 10.00"),
        (MONDAY, "+5:01", "6 x Hour 12.00, Maximum per day -2.00 = 10.00"),
        (
            MONDAY,
            "2026-03-04 20:00",
            "16 x Hour 32.00, Maximum per day -22.00, 24 x Hour 48.00, Maximum per day -38.00, \
             20 x Hour 40.00, Maximum per day -30.00 = 30.00",
        ),
        // A step belongs to the day on which it begins.
        ("2026-03-02 22:30", "2026-03-03 02:00", "2 x Hour 4.00, 2 x Hour 4.00 = 8.00"),
        ("2026-03-02 23:59", "2026-03-03 00:30", "1 x Hour 2.00 = 2.00"),
    ]);
    tariff([hour()]).capped(per_24_hours(1000)).check(&[
        (MONDAY, "+24:00", "24 x Hour 48.00, Maximum per 24 hours -38.00 = 10.00"),
        (MONDAY, "+24:01", "24 x Hour 48.00, Maximum per 24 hours -38.00, 1 x Hour 2.00 = 12.00"),
        (
            MONDAY,
            "+72:00",
            "24 x Hour 48.00, Maximum per 24 hours -38.00, 24 x Hour 48.00, Maximum per 24 hours -38.00, \
             24 x Hour 48.00, Maximum per 24 hours -38.00 = 30.00",
        ),
    ]);
    tariff([hour()]).capped(per_stay(2500)).check(&[
        (MONDAY, "+12:00", "12 x Hour 24.00 = 24.00"),
        (MONDAY, "+12:01", "13 x Hour 26.00, Maximum per stay -1.00 = 25.00"),
        (MONDAY, "+72:00", "72 x Hour 144.00, Maximum per stay -119.00 = 25.00"),
    ]);
}

#[test]
fn the_tightest_of_several_caps_limits_each_step() {
    let caps = Caps { per_day: Some(1000), per_24_hours: Some(1500), per_stay: Some(2400) };
    tariff([hour()]).capped(caps).check(&[(
        "2026-03-02 20:00",
        "2026-03-04 20:00",
        "4 x Hour 8.00, 20 x Hour 40.00, Maximum per 24 hours -33.00, 4 x Hour 8.00, Maximum per day -5.00, \
         20 x Hour 40.00, Maximum per stay -34.00 = 24.00",
    )]);
    // What the cap for 24 hours takes off does not use up the cap for the day.
    let caps = Caps { per_day: Some(1000), per_24_hours: Some(600), per_stay: None };
    tariff([hour()]).capped(caps).check(&[(
        "2026-03-02 12:00",
        "2026-03-03 16:00",
        "12 x Hour 24.00, Maximum per 24 hours -18.00, 12 x Hour 24.00, Maximum per 24 hours -24.00, \
         4 x Hour 8.00, Maximum per 24 hours -2.00 = 12.00",
    )]);
}

#[test]
fn caps_include_flat_amounts() {
    let night = flat("Night", 500).between("22:00", "06:00");
    tariff([night, step("Day", 200, 60)]).capped(per_day(1200)).check(&[
        (
            "2026-03-02 16:00",
            "2026-03-03 09:00", // the night is charged on Monday only
            "6 x Day 12.00, 1 x Night 5.00, Maximum per day -5.00, 3 x Day 6.00 = 18.00",
        ),
        (
            "2026-03-02 18:00",
            "2026-03-02 23:00",
            "4 x Day 8.00, 1 x Night 5.00, Maximum per day -1.00 = 12.00",
        ),
    ]);
}

#[test]
fn prices_depend_on_the_time_since_arrival() {
    let lines = [
        step("First 2 hours", 100, 30).minutes(0, 120),
        step("Third hour", 300, 60).minutes(120, 180),
        flat("Rest", 900),
    ];
    tariff(lines).check(&[
        (MONDAY, "+0:30", "1 x First 2 hours 1.00 = 1.00"),
        (MONDAY, "+2:00", "4 x First 2 hours 4.00 = 4.00"),
        (MONDAY, "+2:01", "4 x First 2 hours 4.00, 1 x Third hour 3.00 = 7.00"),
        (MONDAY, "+3:01", "4 x First 2 hours 4.00, 1 x Third hour 3.00, 1 x Rest 9.00 = 16.00"),
        (MONDAY, "+300:00", "4 x First 2 hours 4.00, 1 x Third hour 3.00, 1 x Rest 9.00 = 16.00"),
    ]);
}

#[test]
fn the_first_line_that_applies_wins() {
    let lines = || {
        [flat("Happy hour", 50).between("12:00", "13:00"), step("Noon", 100, 60).between("11:00", "14:00")]
    };
    let [happy, noon] = lines();
    tariff([happy, noon, hour()]).check(&[(
        "2026-03-02 10:00",
        "2026-03-02 15:00",
        "1 x Hour 2.00, 1 x Noon 1.00, 1 x Happy hour 0.50, 1 x Noon 1.00, 1 x Hour 2.00 = 6.50",
    )]);
    let [happy, noon] = lines();
    tariff([noon, happy, hour()]).check(&[(
        "2026-03-02 10:00",
        "2026-03-02 15:00",
        "1 x Hour 2.00, 3 x Noon 3.00, 1 x Hour 2.00 = 7.00",
    )]);
}

#[test]
fn flat_amounts_are_charged_when_they_come_into_force() {
    tariff([flat("Entry", 600)])
        .check(&[(MONDAY, "+0:00", "1 x Entry 6.00 = 6.00"), (MONDAY, "+200:00", "1 x Entry 6.00 = 6.00")]);
    let evening = flat("Evening", 400).between("18:00", "24:00");
    tariff([evening, hour()]).check(&[(
        "2026-03-02 18:00",
        "2026-03-04 20:00",
        "1 x Evening 4.00, 18 x Hour 36.00, 1 x Evening 4.00, 18 x Hour 36.00, 1 x Evening 4.00 = 84.00",
    )]);
    let weekend = flat("Weekend", 700).on(&[Sat, Sun]);
    tariff([weekend, hour()]).check(&[
        ("2026-03-07 10:00", "2026-03-08 20:00", "1 x Weekend 7.00 = 7.00"),
        ("2026-03-07 10:00", "2026-03-09 02:00", "1 x Weekend 7.00, 2 x Hour 4.00 = 11.00"),
    ]);
}

#[test]
fn fractions_are_carried_to_the_next_line() {
    tariff([hourly_in_steps("Minute", 400, 1)]).check(&[
        (MONDAY, "+0:01", "1 x Minute 0.07 = 0.07"), // 6.67
        (MONDAY, "+0:03", "3 x Minute 0.20 = 0.20"),
        (MONDAY, "+0:10", "10 x Minute 0.67 = 0.67"),
        (MONDAY, "+1:01", "61 x Minute 4.07 = 4.07"),
    ]);
    tariff([hourly_in_steps("Quarter", 250, 15)]).capped(per_day(100)).check(&[
        (MONDAY, "+0:15", "1 x Quarter 0.63 = 0.63"), // 62.5
        (MONDAY, "+0:30", "2 x Quarter 1.25, Maximum per day -0.25 = 1.00"),
        (MONDAY, "+0:45", "3 x Quarter 1.88, Maximum per day -0.88 = 1.00"),
    ]);
    let day = hourly_in_steps("Day", 400, 1).between("06:00", "22:00");
    tariff([day, hourly_in_steps("Night", 100, 1)]).check(&[
        // 6.67 and 1.67 are 8.33. Each for itself, they would be 9.
        ("2026-03-02 21:59", "2026-03-02 22:01", "1 x Day 0.07, 1 x Night 0.01 = 0.08"),
    ]);
    let day = hourly_in_steps("Day", 250, 15).between("06:00", "08:15");
    tariff([day, hourly_in_steps("Later", 250, 15)]).capped(per_day(125)).check(&[
        // 62.5 twice are the cap, and no more.
        (MONDAY, "+0:30", "1 x Day 0.63, 1 x Later 0.62 = 1.25"),
    ]);
}

#[test]
fn taxes_are_added_or_included() {
    let hours = || tariff([step("Hour", 250, 60)]);
    hours().taxed(false, &[("Sales tax", 8_875)]).check(&[
        (MONDAY, "+3:00", "3 x Hour 7.50; Sales tax 0.67 = 8.17"),
        (MONDAY, "+1:00", "1 x Hour 2.50; Sales tax 0.22 = 2.72"),
    ]);
    hours().taxed(true, &[("VAT", 19_000)]).check(&[(MONDAY, "+3:00", "3 x Hour 7.50; VAT 1.20 = 7.50")]);
    hours().taxed(true, &[("CGST", 9_000), ("SGST", 9_000)]).check(&[(
        MONDAY,
        "+3:00",
        "3 x Hour 7.50; CGST 0.57; SGST 0.57 = 7.50",
    )]);
    hours().taxed(false, &[("City", 6_000), ("State", 10_375)]).capped(per_day(2000)).check(&[(
        MONDAY,
        "+9:00", // taxes are on what the cap left
        "9 x Hour 22.50, Maximum per day -2.50; City 1.20; State 2.08 = 23.28",
    )]);
    hours().free(30).taxed(false, &[("VAT", 19_000)]).check(&[(
        MONDAY,
        "+0:30",
        "Free minutes; VAT 0.00 = 0.00",
    )]);
}

#[test]
fn a_lost_ticket_is_charged_instead_of_the_stay() {
    let lines = [lost(4000).on(&[Sat, Sun]), hour(), lost(2000)];
    let table = tariff(lines).capped(per_day(1000)).taxed(false, &[("VAT", 10_000)]);
    table.check_lost_ticket("2026-03-07 12:00", "1 x Lost ticket 40.00; VAT 4.00 = 44.00");
    table.check_lost_ticket(MONDAY, "1 x Lost ticket 20.00; VAT 2.00 = 22.00");
    table.check(&[(MONDAY, "+1:00", "1 x Hour 2.00; VAT 0.20 = 2.20")]);
}
