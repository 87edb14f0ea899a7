"""The main job with a generated client: register, log in, book, release and pay, export, download."""

import sys
import time
import uuid

from parkade import AuthenticatedClient, Client
from parkade.api.accounts import log_in, register
from parkade.api.bookings import book_spot, release_spot
from parkade.api.exports import download_export, export_status, request_export
from parkade.api.lots import list_lots
from parkade.api.tasks import read_task
from parkade.models import (
    Accepted,
    BookSpot,
    LogIn,
    Lots,
    OneExport,
    OneReservation,
    Payment,
    ProblemBody,
    Register,
    ReleaseSpot,
    RequestExport,
    Reservation,
    TaskView,
    TokenAndUser,
)

EMAIL = "python@example.com"
PASSWORD = "Correct-horse-1"


def expect(kind, answer):
    """The body of an answer, which must have this type."""
    assert isinstance(answer, kind), answer
    return answer


def logged_in(base: str) -> AuthenticatedClient:
    client = Client(base_url=base)
    body = Register(username="Ravi", email=EMAIL, password=PASSWORD)
    assert expect(TokenAndUser, register.sync(client=client, body=body)).user.role == "user"
    refused = log_in.sync(client=client, body=LogIn(email=EMAIL, password="wrong"))
    assert expect(ProblemBody, refused).code == "invalid_credentials"
    answer = log_in.sync(client=client, body=LogIn(email=EMAIL, password=PASSWORD))
    return AuthenticatedClient(base_url=base, token=expect(TokenAndUser, answer).token)


def park(client: AuthenticatedClient) -> Reservation:
    lots = expect(Lots, list_lots.sync(client=client)).lots
    lot = next(lot for lot in lots if lot.available_slots > 0)
    booked = book_spot.sync(client=client, body=BookSpot(lot_id=lot.id), idempotency_key=str(uuid.uuid4()))
    stay = expect(OneReservation, booked).reservation
    assert (stay.state, stay.lot.id) == ("active", lot.id)
    body = ReleaseSpot(reservation_id=stay.id, payment_method="upi", transaction_id="TXN-Python")
    paid = expect(OneReservation, release_spot.sync(client=client, body=body)).reservation
    assert (paid.id, paid.state, paid.cost) == (stay.id, "completed", lot.price)
    payment = expect(Payment, paid.payment)
    assert (payment.state, payment.transaction_id) == ("paid", "TXN-Python")
    return paid


def export(client: AuthenticatedClient) -> uuid.UUID:
    task_id = expect(Accepted, request_export.sync(client=client, body=RequestExport(format_="csv"))).task_id
    deadline = time.monotonic() + 30
    while True:
        task = expect(TaskView, read_task.sync(str(task_id), client=client))
        if task.state == "SUCCESS":
            return task_id
        assert task.state in ("PENDING", "PROGRESS"), task
        assert time.monotonic() < deadline, "the export takes too long"
        time.sleep(0.1)


def download(client: AuthenticatedClient, task_id: uuid.UUID, stay: Reservation) -> None:
    listed = expect(OneExport, export_status.sync(task_id, client=client)).export
    file = download_export.sync_detailed(task_id, client=client).content
    header, row = file.decode().splitlines()
    assert (listed.rows, listed.bytes_) == (1, len(file)), listed
    assert stay.lot.name in row and "TXN-Python" in row, row


def main() -> None:
    client = logged_in(sys.argv[1])
    stay = park(client)
    download(client, export(client), stay)


main()
