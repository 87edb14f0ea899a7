//! The fast path of bookings and releases on PostgreSQL: one writing statement each, without BEGIN and COMMIT, so a booking
//! and its release take three round trips instead of thirteen. Everything else (a full lot, a window, an `Idempotency-Key`, a
//! stay that has ended) is left to the transactions of `book.rs` and `release.rs`, which also explain refusals.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::{
    car::Car,
    payment::{STORE, billed, not_stored, stored_values},
    reservation::{Reservation, find_own, next_state},
    start::{FIRST_KEY, FIRST_VEHICLE, unreserved},
};
use crate::{
    app::App,
    base::{error::Result, identity::Identity, money::Money},
    jobs::{Enqueued, FollowUps, Job, Queue, ledger, new_id},
    parking::{
        activity,
        lots::{Moment, availability::free_spots, version_in_force},
        notifications::{self, SendConfirmation},
        rules::{
            payment::Payment,
            pricing::Pricing,
            state::{Event, State},
        },
    },
    platform::{
        cache::Group,
        counters,
        db::{Engine, at, sql},
    },
};

/// Starts a session on the first spot that no window needs. `None` if that fails for any reason.
///
/// The spot is locked before `walk_in_start` looks at it again, with a snapshot of its own.
pub(super) async fn book(app: &App, car: &Car, lot_id: i64) -> Result<Option<Reservation>> {
    let is_common = !car.is_house && car.plate.is_none() && app.config.notifications.sms.is_none();
    if app.db.engine() == Engine::Sqlite || !is_common {
        return Ok(None);
    }
    let user_id = car.user_id;
    let (db, moment, job) = (app.db.write(), Moment::of(app), new_id());
    let values = [lot_id.into(), user_id.into(), job.into(), ledger::trace().into()];
    let values = moment.values().into_iter().chain(values);
    let Some(row) = db.query_one_raw(sql(db, &booking(), values)).await? else { return Ok(None) };
    let mut follow_ups = FollowUps::default();
    follow_ups.counts(counters::Event::Reservation);
    follow_up(app, follow_ups, user_id, job).await;
    Ok(Some(booked(&row, moment.now, user_id, lot_id)?))
}

/// Values: now, the end of the protected time, the lot, the user, the id of the job, its trace.
fn booking() -> String {
    let select = format!(
        "SELECT $5, '{}', '{}', json_build_object('reservation_id', b.id)::text, b.id::text, b.user_id, 'queued', {},
            $1, $6, $1 FROM b",
        SendConfirmation::NAME,
        SendConfirmation::QUEUE.name(),
        SendConfirmation::MAX_ATTEMPTS,
    );
    format!(
        "WITH chosen AS MATERIALIZED (
            SELECT s.id, s.lot_id, s.number, l.price_minor, l.location_name, l.address, {version} AS tariff_version_id
            {free} {unreserved}
            ORDER BY s.number LIMIT 1 FOR UPDATE OF s SKIP LOCKED
        ), b AS (
            INSERT INTO reservations
                (user_id, lot_id, spot_id, state, starts_at, arrived_at, hourly_rate_minor, tariff_version_id, created_at,
                 plate, plate_key)
            SELECT u.id, c.lot_id, c.id, 'active', c.since, c.since, c.price_minor, c.tariff_version_id, $1,
                {FIRST_VEHICLE}, {FIRST_KEY}
            FROM (SELECT *, walk_in_start(id, lot_id, $1, $2) AS since FROM chosen) c, users u
            WHERE c.since IS NOT NULL AND u.id = $4 AND u.deleted_at IS NULL FOR SHARE OF u
            ON CONFLICT DO NOTHING RETURNING id, user_id, spot_id, starts_at, plate
        ), recorded AS ({activity} SELECT b.user_id, '{kind}', b.id::text, $1 FROM b),
        enqueued AS ({job})
        SELECT b.id, b.starts_at, b.plate, c.id AS spot_id, c.number, c.price_minor, c.location_name, c.address,
            t.terms
        FROM b JOIN chosen c ON c.id = b.spot_id LEFT JOIN tariff_versions t ON t.id = c.tariff_version_id",
        version = version_in_force("$3"),
        free = free_spots(),
        unreserved = unreserved(),
        activity = activity::INSERT,
        kind = activity::Kind::Booking.as_str(),
        job = ledger::insert_selected(&select),
    )
}

fn booked(row: &QueryResult, now: DateTime<Utc>, user_id: i64, lot_id: i64) -> Result<Reservation> {
    let rate = Money::from_minor(row.try_get("", "price_minor")?);
    let terms: Option<String> = row.try_get("", "terms")?;
    let Pricing { hourly_rate, terms } = Pricing::read(rate, terms.as_deref())?;
    let starts_at = row.try_get("", "starts_at")?;
    Ok(Reservation {
        id: row.try_get("", "id")?,
        user_id,
        lot_id,
        lot_name: row.try_get("", "location_name")?,
        lot_address: row.try_get("", "address")?,
        spot_id: row.try_get("", "spot_id")?,
        spot_number: row.try_get("", "number")?,
        state: State::Active,
        created_at: now,
        starts_at,
        ends_at: None,
        arrived_at: Some(starts_at),
        left_at: None,
        hourly_rate,
        terms,
        cost: Money::default(),
        payment_state: None,
        payment: Payment::default(),
        paid_at: None,
        payment_verified_at: None,
        waive_reason: None,
        refunded_at: None,
        refund_reason: None,
        plate: row.try_get("", "plate")?,
        is_house: false,
    })
}

/// Ends a running session and makes the bill. `None` if it is not running, if it changes meanwhile, or if the payment has to
/// be audited.
pub(super) async fn release(
    app: &App,
    who: &Identity,
    id: i64,
    payment: &Payment,
) -> Result<Option<Reservation>> {
    if app.db.engine() == Engine::Sqlite {
        return Ok(None);
    }
    let (db, now) = (app.db.write(), app.clock.now());
    let stored = find_own(db, who, id).await?;
    let is_common = |stored: &Reservation| stored.state == State::Active && !stored.is_house;
    let Some(stored) = stored.filter(is_common) else { return Ok(None) };
    let (state, ends_at) = (next_state(app, &stored, Event::Release)?, stored.ends_at);
    let bill = billed(Reservation { state, ..stored }, now, who, payment);
    if bill.payment_verified_at.is_some() {
        return Ok(None);
    }
    let job = notifications::receipt(id, bill.user_id)?;
    let values = stored_values(who, &bill).into_iter().chain([at(ends_at), at(now)]);
    let values = values.chain(ledger::values(now, &job));
    let ended = db.query_one_raw(sql(db, &releasing(), values)).await.map_err(not_stored)?;
    if ended.is_none() {
        return Ok(None);
    }
    follow_up(app, FollowUps::default(), bill.user_id, job.id).await;
    Ok(Some(bill))
}

/// Values: those of [`STORE`], the known end of the window, now, and those of the job.
fn releasing() -> String {
    let select = format!("SELECT {} FROM ended", ledger::placeholders(14));
    format!(
        "WITH ended AS ({STORE} AND state = 'active' AND ends_at IS NOT DISTINCT FROM $12 RETURNING id, user_id),
        recorded AS ({activity} SELECT user_id, '{kind}', id::text, $13 FROM ended),
        enqueued AS ({job})
        SELECT id FROM ended",
        activity = activity::INSERT,
        kind = activity::Kind::Release.as_str(),
        job = ledger::insert_selected(&select),
    )
}

async fn follow_up(app: &App, mut follow_ups: FollowUps, user_id: i64, mail: Uuid) {
    follow_ups.announces(Enqueued { id: mail, queue: Queue::Mail, due: true });
    follow_ups.invalidates([Group::Occupancy, Group::User(user_id)]);
    follow_ups.run(app).await;
}
