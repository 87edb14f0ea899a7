//! Tariffs that car parks have published. Prices are those of the source, which is named; they may have changed since.

use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
use chrono_tz::Tz;

use crate::table::{When, flat, lost, per_24_hours, per_day, per_stay, step, tariff};

const MONDAY: &str = "2026-03-02 09:00";

/// Great Western Hospital, Swindon: gwh.nhs.uk, parking charges.
#[test]
fn great_western_hospital_swindon() {
    let lines = [
        step("First 4 hours", 110, 60).minutes(0, 240),
        step("Up to 6 hours", 280, 120).minutes(240, 360),
        step("Up to 24 hours", 160, 1080),
        lost(880),
    ];
    let table = tariff(lines).in_zone(Tz::Europe__London).free(20);
    table.check(&[
        (MONDAY, "+0:20", "Free minutes = 0.00"),
        (MONDAY, "+0:21", "1 x First 4 hours 1.10 = 1.10"),
        (MONDAY, "+2:00", "2 x First 4 hours 2.20 = 2.20"),
        (MONDAY, "+4:00", "4 x First 4 hours 4.40 = 4.40"),
        (MONDAY, "+4:01", "4 x First 4 hours 4.40, 1 x Up to 6 hours 2.80 = 7.20"),
        (MONDAY, "+6:01", "4 x First 4 hours 4.40, 1 x Up to 6 hours 2.80, 1 x Up to 24 hours 1.60 = 8.80"),
        (MONDAY, "+24:00", "4 x First 4 hours 4.40, 1 x Up to 6 hours 2.80, 1 x Up to 24 hours 1.60 = 8.80"),
    ]);
    table.check_lost_ticket(MONDAY, "1 x Lost ticket 8.80 = 8.80");
}

/// Hinchingbrooke Hospital, Huntingdon: nwangliaft.nhs.uk, parking.
#[test]
fn hinchingbrooke_hospital_huntingdon() {
    let lines = [
        step("First hour", 300, 60).minutes(0, 60),
        step("Hours 2 to 8", 100, 60).minutes(60, 480),
        step("Up to 12 hours", 100, 240).minutes(480, 720),
        step("Up to 24 hours", 100, 720),
    ];
    tariff(lines).in_zone(Tz::Europe__London).free(30).check(&[
        (MONDAY, "+0:30", "Free minutes = 0.00"),
        (MONDAY, "+0:31", "1 x First hour 3.00 = 3.00"),
        (MONDAY, "+2:00", "1 x First hour 3.00, 1 x Hours 2 to 8 1.00 = 4.00"),
        (MONDAY, "+8:00", "1 x First hour 3.00, 7 x Hours 2 to 8 7.00 = 10.00"),
        (MONDAY, "+8:01", "1 x First hour 3.00, 7 x Hours 2 to 8 7.00, 1 x Up to 12 hours 1.00 = 11.00"),
        (
            MONDAY,
            "+12:01",
            "1 x First hour 3.00, 7 x Hours 2 to 8 7.00, 1 x Up to 12 hours 1.00, 1 x Up to 24 hours 1.00 = 12.00",
        ),
    ]);
}

/// Delhi Metro, cars from May 2018, without the night charge: hindustantimes.com, 2018-04-26.
#[test]
fn delhi_metro_stations() {
    let lines = [
        step("First 6 hours", 3000, 360).minutes(0, 360),
        step("Up to 12 hours", 2000, 360).minutes(360, 720),
        flat("Over 12 hours", 1000),
    ];
    tariff(lines).in_zone(Tz::Asia__Kolkata).check(&[
        (MONDAY, "+0:10", "1 x First 6 hours 30.00 = 30.00"),
        (MONDAY, "+6:00", "1 x First 6 hours 30.00 = 30.00"),
        (MONDAY, "+6:01", "1 x First 6 hours 30.00, 1 x Up to 12 hours 20.00 = 50.00"),
        (
            MONDAY,
            "+12:01",
            "1 x First 6 hours 30.00, 1 x Up to 12 hours 20.00, 1 x Over 12 hours 10.00 = 60.00",
        ),
        (
            MONDAY,
            "+20:00",
            "1 x First 6 hours 30.00, 1 x Up to 12 hours 20.00, 1 x Over 12 hours 10.00 = 60.00",
        ),
    ]);
}

/// Garage of the bus company in Reading, Pennsylvania: bartabus.com, daily parking.
#[test]
fn barta_garage_reading() {
    let lines = [step("First hour", 200, 60).minutes(0, 60), step("Additional hour", 100, 60), lost(1400)];
    let table = tariff(lines).in_zone(Tz::America__New_York).capped(per_24_hours(1400));
    table.check(&[
        (MONDAY, "+0:59", "1 x First hour 2.00 = 2.00"),
        (MONDAY, "+1:01", "1 x First hour 2.00, 1 x Additional hour 1.00 = 3.00"),
        (MONDAY, "+13:00", "1 x First hour 2.00, 12 x Additional hour 12.00 = 14.00"),
        (
            MONDAY,
            "+16:00",
            "1 x First hour 2.00, 15 x Additional hour 15.00, Maximum per 24 hours -3.00 = 14.00",
        ),
    ]);
    table.check_lost_ticket(MONDAY, "1 x Lost ticket 14.00 = 14.00");
}

/// City of Jacksonville, Florida: coj.net, parking hourly rates.
#[test]
fn jacksonville_city_facilities() {
    let table = tariff([step("Hour", 100, 60)]).in_zone(Tz::America__New_York).capped(per_day(700));
    table.check(&[
        (MONDAY, "+5:01", "6 x Hour 6.00 = 6.00"),
        (MONDAY, "+6:01", "7 x Hour 7.00 = 7.00"),
        (MONDAY, "+10:00", "10 x Hour 10.00, Maximum per day -3.00 = 7.00"),
    ]);
}

/// Underground car park of the Stadthalle in Singen: stadtwerke-singen.de.
#[test]
fn stadthalle_singen() {
    let lines = [step("First 40 minutes", 100, 40).minutes(0, 40), step("20 minutes", 50, 20)];
    tariff(lines).capped(per_day(1000)).check(&[
        (MONDAY, "+0:40", "1 x First 40 minutes 1.00 = 1.00"),
        (MONDAY, "+0:41", "1 x First 40 minutes 1.00, 1 x 20 minutes 0.50 = 1.50"),
        (MONDAY, "+2:00", "1 x First 40 minutes 1.00, 4 x 20 minutes 2.00 = 3.00"),
        (MONDAY, "+8:00", "1 x First 40 minutes 1.00, 22 x 20 minutes 11.00, Maximum per day -2.00 = 10.00"),
    ]);
}

/// Municipal parking in Saxony and Berlin: dnn.de, April 2019.
#[test]
fn german_cities_in_2019() {
    let chemnitz = tariff([step("First 40 minutes", 50, 40).minutes(0, 40), step("20 minutes", 50, 20)]);
    chemnitz.check(&[
        (MONDAY, "+1:00", "1 x First 40 minutes 0.50, 1 x 20 minutes 0.50 = 1.00"),
        (MONDAY, "+2:00", "1 x First 40 minutes 0.50, 4 x 20 minutes 2.00 = 2.50"),
    ]);
    tariff([step("20 minutes", 50, 20)]).capped(per_day(600)).check(&[
        // The centre of Dresden.
        (MONDAY, "+1:00", "3 x 20 minutes 1.50 = 1.50"),
        (MONDAY, "+4:01", "13 x 20 minutes 6.50, Maximum per day -0.50 = 6.00"),
    ]);
    tariff([step("30 minutes", 25, 30)]).capped(per_day(300)).check(&[
        // Its zones 2 and 3.
        (MONDAY, "+0:31", "2 x 30 minutes 0.50 = 0.50"),
        (MONDAY, "+7:00", "14 x 30 minutes 3.50, Maximum per day -0.50 = 3.00"),
    ]);
    tariff([step("30 minutes", 100, 30)]).capped(per_day(500)).check(&[
        // The centre of Leipzig.
        (MONDAY, "+1:00", "2 x 30 minutes 2.00 = 2.00"),
        (MONDAY, "+3:01", "7 x 30 minutes 7.00, Maximum per day -2.00 = 5.00"),
    ]);
    tariff([step("15 minutes", 75, 15)]).check(&[
        // The dearest streets of Berlin-Mitte.
        (MONDAY, "+1:00", "4 x 15 minutes 3.00 = 3.00"),
    ]);
}

/// Idaho Falls Regional Airport, hourly and long-term lots: idaho-falls-airport.com, parking.
#[test]
fn idaho_falls_airport() {
    let first = || step("First 30 minutes", 0, 30).minutes(0, 30);
    let hourly = tariff([first(), step("20 minutes", 150, 20)]);
    hourly.in_zone(Tz::America__Boise).capped(per_24_hours(1500)).check(&[
        (MONDAY, "+0:30", "1 x First 30 minutes 0.00 = 0.00"),
        (MONDAY, "+0:31", "1 x First 30 minutes 0.00, 1 x 20 minutes 1.50 = 1.50"),
        (MONDAY, "+1:30", "1 x First 30 minutes 0.00, 3 x 20 minutes 4.50 = 4.50"),
        (
            MONDAY,
            "+8:00",
            "1 x First 30 minutes 0.00, 23 x 20 minutes 34.50, Maximum per 24 hours -19.50 = 15.00",
        ),
        (
            MONDAY,
            "+25:00", // the last step of the first 24 hours began before their end
            "1 x First 30 minutes 0.00, 71 x 20 minutes 106.50, Maximum per 24 hours -91.50, 3 x 20 minutes 4.50 = 19.50",
        ),
    ]);
    // The maximum is for a week.
    let long_term = tariff([first(), step("Hour", 200, 60)]).capped(per_stay(4200));
    long_term.in_zone(Tz::America__Boise).check(&[(
        MONDAY,
        "+48:00",
        "1 x First 30 minutes 0.00, 48 x Hour 96.00, Maximum per stay -54.00 = 42.00",
    )]);
}

/// City garages in Santa Rosa, California: srcity.org, downtown parking.
#[test]
fn santa_rosa_city_garages() {
    let workdays = [Mon, Tue, Wed, Thu, Fri];
    let first = || step("First hour", 0, 60).minutes(0, 60);
    let early = || flat("Early morning", 0).between("01:00", "06:00").on(&workdays).and_holidays();
    let seventh_street = tariff([first(), early(), step("Hour", 50, 60)]).capped(per_day(600));
    seventh_street.in_zone(Tz::America__Los_Angeles).check(&[
        (MONDAY, "+1:00", "1 x First hour 0.00 = 0.00"),
        (MONDAY, "+3:30", "1 x First hour 0.00, 3 x Hour 1.50 = 1.50"),
        ("2026-03-02 06:00", "+16:00", "1 x First hour 0.00, 15 x Hour 7.50, Maximum per day -1.50 = 6.00"),
        (
            "2026-03-02 22:00",
            "2026-03-03 07:00",
            "1 x First hour 0.00, 1 x Hour 0.50, 1 x Hour 0.50, 1 x Early morning 0.00, 1 x Hour 0.50 = 1.50",
        ),
    ]);
    let sunday = flat("Sunday", 0).on(&[Sun]);
    let fifth_street = tariff([sunday, first(), early(), step("Hour", 75, 60)]).capped(per_day(800));
    fifth_street.in_zone(Tz::America__Los_Angeles).check(&[
        ("2026-03-01 10:00", "+5:00", "1 x Sunday 0.00 = 0.00"),
        (MONDAY, "+2:30", "1 x First hour 0.00, 2 x Hour 1.50 = 1.50"),
    ]);
}

/// Night parking at housing estates in Singapore, 2007: backoftheenvelope.blogspot.com, after the signs of HDB.
#[test]
fn singapore_night_parking() {
    let table = tariff([step("Half hour", 50, 30)]).in_zone(Tz::Asia__Singapore).capped(per_stay(200));
    table.check(&[
        ("2026-03-02 22:30", "2026-03-03 00:00", "3 x Half hour 1.50 = 1.50"),
        ("2026-03-02 22:30", "2026-03-03 07:00", "17 x Half hour 8.50, Maximum per stay -6.50 = 2.00"),
    ]);
}

/// The green zone of Cholet, without its daily half hour: paybyphone.fr, Cholet.
#[test]
fn green_zone_of_cholet() {
    let weekdays = [Mon, Tue, Wed, Thu, Fri, Sat];
    let lines = [
        step("Morning", 20, 30).between("09:00", "12:00").on(&weekdays),
        step("Afternoon", 20, 30).between("14:00", "19:00").on(&weekdays),
        flat("Free time", 0),
    ];
    tariff(lines).in_zone(Tz::Europe__Paris).with_holidays(&["2026-05-01"]).check(&[
        (MONDAY, "+1:00", "2 x Morning 0.40 = 0.40"),
        ("2026-03-02 11:30", "+3:00", "1 x Morning 0.20, 1 x Free time 0.00, 1 x Afternoon 0.20 = 0.40"),
        (MONDAY, "+10:00", "6 x Morning 1.20, 1 x Free time 0.00, 10 x Afternoon 2.00 = 3.20"),
        ("2026-03-01 10:00", "+4:30", "1 x Free time 0.00 = 0.00"),
        ("2026-05-01 10:00", "+4:30", "1 x Free time 0.00 = 0.00"), // Labour Day, a Friday
    ]);
}

/// John Street multi-storey, Stoke-on-Trent, for arrivals after 09:30: stokeontrentcitycentre.co.uk.
#[test]
fn john_street_stoke_on_trent() {
    let lines = [
        flat("Sunday", 300).on(&[Sun]),
        step("First 3 hours", 140, 60).minutes(0, 180),
        step("Fourth hour", 20, 60).minutes(180, 240),
        flat("All day", 60),
    ];
    tariff(lines).in_zone(Tz::Europe__London).check(&[
        ("2026-03-02 10:00", "+3:00", "3 x First 3 hours 4.20 = 4.20"),
        ("2026-03-02 10:00", "+4:00", "3 x First 3 hours 4.20, 1 x Fourth hour 0.20 = 4.40"),
        (
            "2026-03-02 10:00",
            "+7:00",
            "3 x First 3 hours 4.20, 1 x Fourth hour 0.20, 1 x All day 0.60 = 5.00",
        ),
        ("2026-03-01 10:00", "+7:00", "1 x Sunday 3.00 = 3.00"),
    ]);
}

/// City garages in Frederick, Maryland: cityoffrederick.com. Shuttle lot of Oklahoma City's airport: oklahoma-airport.com.
#[test]
fn american_day_rates() {
    tariff([step("Hour", 100, 60)]).in_zone(Tz::America__New_York).capped(per_24_hours(1200)).check(&[
        (MONDAY, "+2:01", "3 x Hour 3.00 = 3.00"),
        (MONDAY, "+13:30", "14 x Hour 14.00, Maximum per 24 hours -2.00 = 12.00"),
    ]);
    tariff([step("Day", 500, 1440)])
        .in_zone(Tz::America__Chicago)
        .check(&[(MONDAY, "+24:00", "1 x Day 5.00 = 5.00"), (MONDAY, "+24:01", "2 x Day 10.00 = 10.00")]);
}
