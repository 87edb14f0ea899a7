"""What is sent to clients and to the mail worker."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class Lot(BaseModel):
    id: int
    name: str
    address: str


class Reservation(BaseModel):
    """A stay: running, or ended with a bill."""

    id: int
    user_id: int
    state: Literal["active", "completed"]
    lot: Lot
    spot_id: int
    spot_number: int
    arrived_at: datetime
    left_at: datetime | None = None
    hourly_rate: float
    cost: float | None = None


class MailJob(BaseModel):
    kind: Literal["confirmation", "receipt"]
    reservation: Reservation
    failures: int = 0
