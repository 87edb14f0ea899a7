"""What is read often: the list of lots, and a user."""

import json

from fastapi import APIRouter, HTTPException, Request, Response

from . import settings
from .auth import AnyCaller
from .web import json_response, stores_of

router = APIRouter()

LOTS = """
    SELECT l.id, l.location_name, l.price_minor, l.address, l.pincode, l.number_of_slots,
        l.number_of_slots - count(r.id) AS available_slots
    FROM lots l LEFT JOIN reservations r ON r.lot_id = l.id AND r.state = 'active'
    GROUP BY l.id ORDER BY l.id"""

USER = "SELECT id, username, email, role, phone_number FROM users WHERE id = $1"


@router.get("/api/parking-lots")
async def list_lots(request: Request) -> Response:
    stores = stores_of(request)

    async def load() -> bytes:
        lots = [dict(row) for row in await stores.db.fetch(LOTS)]
        for lot in lots:
            lot["price"] = lot.pop("price_minor") / 100
        return json.dumps({"msg": "parking lots", "lots": lots}).encode()

    return json_response(await stores.cached("lots", settings.CACHE_SHORT, load))


@router.get("/api/users/{user_id}")
async def read_user(request: Request, user_id: int, caller: AnyCaller) -> Response:
    if user_id != caller.user_id and not caller.is_admin:
        raise HTTPException(403, "this is another user")
    stores = stores_of(request)

    async def load() -> bytes:
        row = await stores.db.fetchrow(USER, user_id)
        if row is None:
            raise HTTPException(404, "there is no such user")
        return json.dumps({"msg": "user", "user": dict(row)}).encode()

    return json_response(await stores.cached(f"user:{user_id}", settings.CACHE_SHORT, load))
