//! Schedules: each tick becomes exactly one job, with any number of workers, at any time, and across clock changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use sea_orm::EntityTrait;
use shared::{
    base::clock::Clock,
    jobs::{
        NewJob,
        ledger::row,
        schedule::{Proposer, Schedule, Timetable},
    },
    operations::{cleanup::CleanUp, schedules},
    platform::{db::at, entities::cron_tick},
};
use testkit::{Engine, Processes, TestApp};

use crate::support::{execute, number, within};

const WORKERS: usize = 5;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Applications that share only the database and the clock.
async fn workers(engine: Engine, now: &str, changed: &[(&str, &str)]) -> Vec<TestApp> {
    let mut first = TestApp::start_with(engine, changed).await;
    first.app = first.app.with_clock(Clock::fixed(instant(now)));
    let mut all = vec![first];
    for _ in 1..WORKERS {
        let other = all[0].second_process(&[]).await;
        all.push(other);
    }
    all
}

fn proposers(workers: &[TestApp]) -> Vec<Proposer> {
    let all = |t: &TestApp| Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    workers.iter().map(all).collect()
}

/// Runs all proposers at once. Returns how many jobs were written.
async fn propose_all(proposers: &mut [Proposer]) -> usize {
    let looks = futures::future::join_all(proposers.iter_mut().map(Proposer::propose_due)).await;
    looks.into_iter().map(|jobs| jobs.unwrap().len()).sum()
}

/// Every tick by schedule. Fails unless each tick has a separate job with a matching payload.
async fn ticks(t: &TestApp) -> BTreeMap<String, Vec<DateTime<Utc>>> {
    let rows = cron_tick::Entity::find().all(t.app.db.read()).await.unwrap();
    let jobs = row::Entity::find().all(t.app.db.read()).await.unwrap();
    assert_eq!(rows.len(), jobs.len(), "ticks and jobs");
    let jobs: BTreeMap<_, _> = jobs.into_iter().map(|job| (job.id, job)).collect();
    let mut ticks = BTreeMap::<_, Vec<_>>::new();
    let mut taken = BTreeSet::new();
    for row in rows {
        let job = &jobs[&row.job_id.unwrap()];
        assert!(taken.insert(job.id), "two ticks have the job {}", job.id);
        let payload: serde_json::Value = serde_json::from_str(&job.payload).unwrap();
        assert_eq!(instant(payload["due"].as_str().unwrap()), row.tick);
        ticks.entry(row.name).or_default().push(row.tick);
    }
    ticks.values_mut().for_each(|ticks| ticks.sort());
    ticks
}

/// The local days with a tick. Fails if a day has two.
fn days(ticks: &[DateTime<Utc>], zone: Tz) -> BTreeSet<NaiveDate> {
    let days: BTreeSet<_> = ticks.iter().map(|tick| tick.with_timezone(&zone).date_naive()).collect();
    assert_eq!(days.len(), ticks.len(), "two ticks on one day in {zone}");
    days
}

/// Simulates a year in a time zone, in random steps from a second to most of a day.
async fn simulate_year(engine: Engine, zone: &str, year: i32, seed: u64) {
    let begin = format!("{year}-01-10T00:00:00Z");
    let changed =
        [("APP_TIMEZONE", zone), ("DAILY_REMINDER_TIME", "23:30"), ("MONTHLY_REPORT_TIME", "02:30")];
    let workers = workers(engine, &begin, &changed).await;
    let (t, zone) = (&workers[0], zone.parse::<Tz>().unwrap());
    let mut proposers = proposers(&workers);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut steps, mut jobs) = (0, propose_all(&mut proposers).await);
    assert_eq!(jobs, 0, "ticks before the first start do not count as missed");
    let mut seen = BTreeSet::new();
    let end = instant(&begin) + TimeDelta::days(365);
    while t.app.clock.now() < end {
        let most = [60, 3_600, 79_200][random.next_u64() as usize % 3];
        let step = 1 + (random.next_u64() % most) as i64;
        // The local days that occur in this step.
        for second in (0..=step).step_by(600) {
            seen.insert((t.app.clock.now() + TimeDelta::seconds(second)).with_timezone(&zone).date_naive());
        }
        t.app.clock.advance(TimeDelta::seconds(step));
        steps += 1;
        jobs += propose_all(&mut proposers).await;
    }
    let ticks = ticks(t).await;
    eprintln!("{engine:?} {zone} {year}: {steps} steps, {} days, {jobs} jobs", seen.len());
    assert_eq!(jobs, ticks.values().map(Vec::len).sum::<usize>());
    // The first and the last day are incomplete.
    let inner = |days: &BTreeSet<NaiveDate>| {
        let (first, last) = (*seen.first().unwrap(), *seen.last().unwrap());
        days.iter().copied().filter(|day| first < *day && *day < last).collect::<Vec<_>>()
    };
    for daily in [schedules::DAILY_REMINDERS, schedules::FILE_CLEANUP] {
        assert_eq!(inner(&days(&ticks[daily], zone)), inner(&seen), "{daily} in {zone}");
    }
    let months: Vec<_> =
        days(&ticks[schedules::MONTHLY_REPORTS], zone).iter().map(|day| day.month()).collect();
    assert_eq!(months, (2..=12).chain([1]).collect::<Vec<_>>(), "months in {zone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_workers_run_each_schedule_once_for_a_year() {
    testkit::together(async |engine| {
        simulate_year(engine, "Europe/Berlin", 2026, 1).await;
        simulate_year(engine, "Asia/Kolkata", 2026, 2).await;
        // The clock jumps from 23:00 to midnight, and a whole day is skipped.
        simulate_year(engine, "America/Nuuk", 2026, 3).await;
        simulate_year(engine, "Pacific/Apia", 2011, 4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_ticks_make_exactly_one_job_each() {
    const TICKS: usize = 10_000;
    testkit::together(async |engine| {
        let workers = workers(engine, "2026-03-25T00:00:00Z", &[]).await;
        let (t, begun) = (&workers[0], Instant::now());
        let schedule = || Schedule {
            name: "every-minute",
            timetable: Timetable::new("* * * * *", Tz::Europe__Berlin).unwrap(),
            job: |due| NewJob::of(&CleanUp { due }),
        };
        let mut proposers: Vec<_> =
            workers.iter().map(|t| Proposer::new(t.app.clone(), [schedule()])).collect();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        propose_all(&mut proposers).await;
        let mut won = 0;
        for _ in 0..TICKS {
            let (now, second) = (t.app.clock.now(), i64::from(random.next_u32() % 60));
            t.app.clock.advance(TimeDelta::seconds(60 - i64::from(now.second()) + second));
            // Two random neighbours of the five race, and the others are too late for this tick.
            let first = random.next_u32() as usize % (WORKERS - 1);
            won += propose_all(&mut proposers[first..first + 2]).await;
        }
        let ticks = &ticks(t).await["every-minute"];
        eprintln!("{engine:?}: {} ticks, {won} jobs, {:.1?}", ticks.len(), begun.elapsed());
        // Ticks of a schedule that is due every minute are not affected by clock changes.
        assert_eq!((ticks.len(), won), (TICKS, TICKS));
    })
    .await;
}

#[testkit::both_databases]
async fn only_the_newest_missed_tick_is_caught_up(mut t: TestApp) {
    t.app = t.app.with_clock(Clock::fixed(instant("2026-11-20T10:00:00Z")));
    let late = Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    let fresh = || Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    assert_eq!(fresh().propose_due().await.unwrap().len(), 0);
    t.app.clock.advance(TimeDelta::days(5));
    // 18:00 in Kolkata is 12:30 UTC, and 02:00 is 20:30 UTC on the day before.
    assert_eq!(propose_all(&mut [fresh(), fresh(), fresh(), late]).await, 2);
    let caught = ticks(&t).await;
    assert_eq!(caught[schedules::DAILY_REMINDERS], [instant("2026-11-24T12:30:00Z")]);
    assert_eq!(caught[schedules::FILE_CLEANUP], [instant("2026-11-24T20:30:00Z")]);
    assert_eq!(fresh().propose_due().await.unwrap().len(), 0);
    // A worker with a slow clock finds an older tick, which was superseded.
    t.app.clock.advance(TimeDelta::days(-1));
    assert_eq!(fresh().propose_due().await.unwrap().len(), 0);
}

#[testkit::both_databases]
async fn changed_schedule_creates_no_past_tick(mut t: TestApp) {
    t.app = t.app.with_clock(Clock::fixed(instant("2026-11-20T10:00:00Z")));
    let mut before = Proposer::new(t.app.clone(), schedules::all(&t.app.config).unwrap());
    before.propose_due().await.unwrap();
    let changed = t.second_process(&[("CLEANUP_TIME", "15:00")]).await;
    let mut after = Proposer::new(changed.app.clone(), schedules::all(&changed.app.config).unwrap());
    // It is 15:30 there.
    assert_eq!(after.propose_due().await.unwrap().len(), 0);
    t.app.clock.advance(TimeDelta::hours(12));
    // 18:00 and 02:00 have passed by the old settings, 18:00 by the new ones; the workers that started last decide.
    assert_eq!(before.propose_due().await.unwrap().len() + after.propose_due().await.unwrap().len(), 1);
    t.app.clock.advance(TimeDelta::hours(12));
    assert_eq!(before.propose_due().await.unwrap().len() + after.propose_due().await.unwrap().len(), 1);
    let ticks = ticks(&t).await;
    assert_eq!(ticks[schedules::DAILY_REMINDERS], [instant("2026-11-20T12:30:00Z")]);
    assert_eq!(ticks[schedules::FILE_CLEANUP], [instant("2026-11-21T09:30:00Z")]);
}

/// A time of day that was `ago` before now, in the time zone of the tests.
fn time_of_day(t: &TestApp, ago: TimeDelta) -> String {
    (t.app.clock.now() - ago).with_timezone(&t.app.config.zone).format("%H:%M").to_string()
}

#[testkit::both_databases(together)]
async fn missed_night_is_caught_up_once_after_an_outage(t: TestApp) {
    let due = time_of_day(&t, TimeDelta::minutes(100));
    let other = time_of_day(&t, TimeDelta::hours(-3));
    let processes = Processes::of(
        &t,
        &[("CLEANUP_TIME", &due), ("DAILY_REMINDER_TIME", &other), ("MONTHLY_REPORT_DAY", "28")],
    );
    let first = processes.worker();
    within(Duration::from_secs(20), "the schedules are registered", || async {
        number(&t, "SELECT COUNT(*) AS n FROM schedules").await == 3
    })
    .await;
    first.kill().unwrap();
    drop(first);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM cron_ticks").await, 0);
    let down_since = t.app.clock.now() - TimeDelta::hours(26);
    execute(&t, "UPDATE schedules SET settled_until = $1 WHERE name = 'file-cleanup'", [at(down_since)])
        .await;
    let started = Instant::now();
    let _workers = [processes.worker(), processes.worker(), processes.worker()];
    within(Duration::from_secs(5), "the missed clean-up runs", || async {
        number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'clean-up' AND started_at IS NOT NULL").await
            == 1
    })
    .await;
    eprintln!("{:?}: caught up and running {:?} after the start", t.engine, started.elapsed());
    // Workers check the schedules once a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM cron_ticks").await, 1);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs WHERE kind = 'clean-up'").await, 1);
}
