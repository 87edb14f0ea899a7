"""The administrators' report, and the export of one's own reservations."""

import asyncio
import json
import tempfile
from collections import Counter
from datetime import date, datetime, time, timedelta
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from . import settings
from .auth import Administrator, AnyCaller
from .stores import Stores
from .web import json_response, stores_of

router = APIRouter()

PAID = """
    SELECT lot_id, payment_method AS method, count(*) AS stays, sum(cost_minor)::bigint AS revenue
    FROM reservations WHERE state = 'completed' GROUP BY 1, 2"""

# By position in a list of local midnights, which is several times as fast as converting each time to local time.
BY_DAY = """
    SELECT width_bucket(left_at, $1::timestamptz[]) AS day, sum(cost_minor)::bigint AS revenue
    FROM reservations WHERE state = 'completed' GROUP BY 1"""

BY_MONTH = """
    SELECT width_bucket(arrived_at, $1::timestamptz[]) AS month, count(*) AS stays FROM (
        SELECT arrived_at FROM reservations WHERE state = 'completed'
        UNION ALL SELECT arrived_at FROM reservations WHERE state = 'active') stay GROUP BY 1"""

LOTS = """
    SELECT l.id, l.location_name, l.number_of_slots, count(r.id) AS active
    FROM lots l LEFT JOIN reservations r ON r.lot_id = l.id AND r.state = 'active'
    GROUP BY l.id ORDER BY l.id"""

USERS = "SELECT role, count(*) AS n FROM users GROUP BY role"

EXPORT = """
    SELECT r.id, l.location_name, l.address, s.number, r.arrived_at, r.left_at, round(r.hourly_rate_minor / 100.0, 2) AS rate,
        round(r.cost_minor / 100.0, 2) AS cost, r.state, r.payment_method, r.transaction_id
    FROM reservations r JOIN lots l ON l.id = r.lot_id JOIN spots s ON s.id = r.spot_id
    WHERE r.user_id = $1 ORDER BY r.id"""


def midnights(days: list[date]) -> list[datetime]:
    return [datetime.combine(day, time(), settings.ZONE) for day in days]


async def build(stores: Stores) -> bytes:
    today = datetime.now(settings.ZONE).date()
    # Twelve months, with the current one.
    year, month = divmod(today.year * 12 + today.month - 12, 12)
    begin = date(year, month + 1, 1)
    days = [begin + timedelta(days=n) for n in range((today - begin).days + 1)]
    starts = [day for day in days if day.day == 1]
    paid, by_day, by_month, lots, users = await asyncio.gather(
        stores.db.fetch(PAID),
        stores.db.fetch(BY_DAY, midnights(days)),
        stores.db.fetch(BY_MONTH, midnights(starts)),
        stores.db.fetch(LOTS),
        stores.db.fetch(USERS),
    )
    stays, revenue, months, methods = Counter(), Counter(), Counter(), Counter()
    for lot_id, method, number, amount in paid:
        stays[lot_id] += number
        revenue[lot_id] += amount
        methods[method] += number
    # Bucket 0 is before all of them.
    revenue_by_day = {days[bucket - 1]: amount for bucket, amount in by_day if bucket > 0}
    for day, amount in revenue_by_day.items():
        months[day.strftime("%B %Y")] += amount
    began = {starts[bucket - 1].strftime("%B %Y"): number for bucket, number in by_month if bucket > 0}
    staff = dict(users)
    active = sum(lot["active"] for lot in lots)
    report = {
        "parking_lots": [
            {
                "id": lot["id"],
                "location_name": lot["location_name"],
                "total_spots": lot["number_of_slots"],
                "available_spots": lot["number_of_slots"] - lot["active"],
                "total_reservations": stays[lot["id"]] + lot["active"],
                "total_revenue": revenue[lot["id"]] / 100,
            }
            for lot in lots
        ],
        "user_stats": {"admin_users": staff.get("admin", 0), "regular_users": staff.get("user", 0)},
        "reservation_stats": {
            "active_reservations": active,
            "completed_reservations": stays.total(),
            "total_reservations": stays.total() + active,
            "total_revenue": revenue.total() / 100,
        },
        "monthly_trends": [{"month": month, "reservations": number} for month, number in began.items()],
        "monthly_revenue": [{"month": month, "revenue": amount / 100} for month, amount in months.items()],
        "daily_revenue": [
            {"date": day.isoformat(), "revenue": revenue_by_day.get(day, 0) / 100} for day in days[-30:]
        ],
        "payment_distribution": [{"method": method, "count": n} for method, n in methods.most_common()],
    }
    return json.dumps({"msg": "report", "data": report}).encode()


@router.get("/api/reports")
async def read_report(request: Request, _: Administrator) -> Response:
    stores = stores_of(request)
    return json_response(await stores.cached("report", settings.CACHE_REPORT, lambda: build(stores)))


@router.get("/api/export.csv")
async def export(request: Request, caller: AnyCaller) -> FileResponse:
    """PostgreSQL writes the lines; this process passes them on through a file, which has a known length."""
    path = Path(tempfile.mkstemp(suffix=".csv")[1])
    async with stores_of(request).db.acquire() as db:
        await db.copy_from_query(EXPORT, caller.user_id, output=path, format="csv", header=True)
    return FileResponse(path, media_type="text/csv", background=BackgroundTask(path.unlink))
