"""Booking a spot and releasing it."""

import math
from datetime import datetime, timedelta

from asyncpg import Record, UniqueViolationError
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from .auth import AnyCaller
from .models import Lot, MailJob, Reservation
from .stores import Stores
from .web import stores_of

router = APIRouter()

FREE_SPOT = """
    SELECT s.id, s.number, l.price_minor, l.location_name, l.address
    FROM spots s JOIN lots l ON l.id = s.lot_id
    WHERE s.lot_id = $1
      AND NOT EXISTS (SELECT FROM reservations r WHERE r.spot_id = s.id AND r.state = 'active')
    ORDER BY s.number LIMIT 1 FOR UPDATE OF s SKIP LOCKED"""

INSERT = """
    INSERT INTO reservations (user_id, lot_id, spot_id, state, hourly_rate_minor)
    VALUES ($1, $2, $3, 'active', $4) RETURNING id, arrived_at"""

LOCK = """
    SELECT r.id, r.lot_id, r.spot_id, r.state, r.arrived_at, r.left_at, r.hourly_rate_minor, r.cost_minor,
        s.number, l.location_name, l.address, now() AS now
    FROM reservations r JOIN spots s ON s.id = r.spot_id JOIN lots l ON l.id = r.lot_id
    WHERE r.id = $1 AND r.user_id = $2 FOR UPDATE OF r"""

UPDATE = """
    UPDATE reservations SET state = 'completed', left_at = $2, cost_minor = $3, transaction_id = $4,
        payment_method = $5
    WHERE id = $1"""

# Another booking may commit the chosen spot between the choice and the insertion.
ATTEMPTS = 5

# What a booking or a release changes in the cache.
STALE = ("lots", "report")


class Book(BaseModel):
    lot_id: int


class Release(BaseModel):
    reservation_id: int
    transaction_id: str | None = Field(default=None, max_length=50)
    payment_method: str | None = Field(default=None, max_length=20)


class OneReservation(BaseModel):
    msg: str
    reservation: Reservation


def charged_hours(stay: timedelta) -> int:
    """Every started hour, and at least one."""
    return max(1, math.ceil(stay / timedelta(hours=1)))


async def take_spot(stores: Stores, user_id: int, lot_id: int) -> Reservation:
    async with stores.db.acquire() as db, db.transaction():
        spot = await db.fetchrow(FREE_SPOT, lot_id)
        if spot is None:
            raise HTTPException(409, "the lot is full, or does not exist")
        row = await db.fetchrow(INSERT, user_id, lot_id, spot["id"], spot["price_minor"])
    return Reservation(
        id=row["id"],
        user_id=user_id,
        state="active",
        lot=Lot(id=lot_id, name=spot["location_name"], address=spot["address"]),
        spot_id=spot["id"],
        spot_number=spot["number"],
        arrived_at=row["arrived_at"],
        hourly_rate=spot["price_minor"] / 100,
    )


@router.post("/api/booking/book-spot", status_code=201)
async def book_spot(request: Request, body: Book, caller: AnyCaller) -> OneReservation:
    stores = stores_of(request)
    for _ in range(ATTEMPTS):
        try:
            reservation = await take_spot(stores, caller.user_id, body.lot_id)
        except UniqueViolationError as error:
            if error.constraint_name == "reservations_one_active_a_user":
                raise HTTPException(409, "you are already parked") from error
            continue
        await stores.enqueue(MailJob(kind="confirmation", reservation=reservation), *STALE)
        return OneReservation(msg="spot booked", reservation=reservation)
    raise HTTPException(409, "too many drivers are booking in this lot")


def completed(row: Record, user_id: int, left_at: datetime, cost_minor: int) -> Reservation:
    return Reservation(
        id=row["id"],
        user_id=user_id,
        state="completed",
        lot=Lot(id=row["lot_id"], name=row["location_name"], address=row["address"]),
        spot_id=row["spot_id"],
        spot_number=row["number"],
        arrived_at=row["arrived_at"],
        left_at=left_at,
        hourly_rate=row["hourly_rate_minor"] / 100,
        cost=cost_minor / 100,
    )


@router.post("/api/booking/release-spot")
async def release_spot(request: Request, body: Release, caller: AnyCaller) -> OneReservation:
    stores = stores_of(request)
    async with stores.db.acquire() as db, db.transaction():
        row = await db.fetchrow(LOCK, body.reservation_id, caller.user_id)
        if row is None:
            raise HTTPException(404, "you have no such reservation")
        if row["state"] == "completed":
            bill = completed(row, caller.user_id, row["left_at"], row["cost_minor"])
            return OneReservation(msg="spot released", reservation=bill)
        left_at = max(row["now"], row["arrived_at"])
        cost_minor = row["hourly_rate_minor"] * charged_hours(left_at - row["arrived_at"])
        await db.execute(UPDATE, row["id"], left_at, cost_minor, body.transaction_id, body.payment_method)
    bill = completed(row, caller.user_id, left_at, cost_minor)
    await stores.enqueue(MailJob(kind="receipt", reservation=bill), *STALE)
    return OneReservation(msg="spot released", reservation=bill)
