"""Sends the mails that bookings and releases have enqueued. Run as `python -m peer.mail_worker`."""

import asyncio
import logging
from datetime import datetime
from email.mime.text import MIMEText
from email.utils import formatdate, make_msgid

import aiosmtplib
import uvloop
from asyncpg import Record

from . import settings
from .models import MailJob
from .stores import MAIL_QUEUE, Stores

CONSUMERS = 8
BATCH = 10
# After this many failures a mail is given up.
ATTEMPTS = 5

CONFIRMATION = """Hello {name},

Your spot is booked.

  Lot      {lot}
  Address  {address}
  Spot     {spot}
  From     {arrived}
  Rate     {rate:.2f} an hour
  Booking  {id}

You are charged until you release it: for every hour started, and at least for one.
"""

RECEIPT = """Hello {name},

Thank you for parking with us. This is your receipt.

  Lot      {lot}
  Address  {address}
  Spot     {spot}
  Arrived  {arrived}
  Left     {left}
  Rate     {rate:.2f} an hour
  Total    {cost:.2f}
  Booking  {id}
"""

RECIPIENTS = "SELECT id, username, email FROM users WHERE id = ANY($1)"

log = logging.getLogger("mail_worker")


def local_time(instant: datetime | None) -> str:
    return instant.astimezone(settings.ZONE).strftime("%d %b %Y, %H:%M") if instant else ""


def written(job: MailJob, name: str, address: str) -> bytes:
    stay = job.reservation
    is_receipt = job.kind == "receipt"
    text = (RECEIPT if is_receipt else CONFIRMATION).format(
        name=name,
        lot=stay.lot.name,
        address=stay.lot.address,
        spot=stay.spot_number,
        arrived=local_time(stay.arrived_at),
        left=local_time(stay.left_at),
        rate=stay.hourly_rate,
        cost=stay.cost or 0,
        id=stay.id,
    )
    mail = MIMEText(text, "plain", "utf-8")
    mail["From"], mail["To"] = settings.SENDER, address
    mail["Subject"] = f"Receipt for parking at {stay.lot.name}" if is_receipt else "Your spot is booked"
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="peer.example")
    return mail.as_bytes()


async def send(smtp: aiosmtplib.SMTP, job: MailJob, recipient: Record) -> None:
    if not smtp.is_connected:
        await smtp.connect()
    address = recipient["email"]
    await smtp.sendmail(settings.SENDER, address, written(job, recipient["username"], address))


async def consume(stores: Stores) -> None:
    """Sends mails over a connection of its own, which stays open."""
    smtp = aiosmtplib.SMTP(hostname=settings.SMTP_HOST, port=settings.SMTP_PORT, start_tls=False)
    while True:
        popped = await stores.redis.blmpop(1, 1, MAIL_QUEUE, direction="LEFT", count=BATCH)
        jobs = [MailJob.model_validate_json(text) for text in popped[1]] if popped else []
        recipients = await stores.db.fetch(RECIPIENTS, [job.reservation.user_id for job in jobs]) if jobs else []
        by_id = {recipient["id"]: recipient for recipient in recipients}
        for job in jobs:
            recipient = by_id.get(job.reservation.user_id)
            if recipient is None:
                continue
            try:
                await send(smtp, job, recipient)
            except (aiosmtplib.SMTPException, OSError) as error:
                log.warning("a mail was not sent: %s", error)
                job.failures += 1
                if job.failures < ATTEMPTS:
                    await stores.enqueue(job)


async def main() -> None:
    stores = await Stores.connect()
    async with asyncio.TaskGroup() as consumers:
        for _ in range(CONSUMERS):
            consumers.create_task(consume(stores))


if __name__ == "__main__":
    uvloop.run(main())
