"""What a customer sends to make a book transfer: the request, and a fresh idempotency key."""

import uuid

from bp.transfers.v1 import transfers_service_pb2 as pb
from bp.type.v1 import money_pb2


def order(
    source: uuid.UUID, destination: uuid.UUID, cents: int, currency: str = "USD", memo: str = ""
) -> pb.CreateBookTransferRequest:
    """Return a request to move cents."""
    return pb.CreateBookTransferRequest(
        account_id=str(source),
        destination_account_id=str(destination),
        amount=money_pb2.Money(currency_code=currency, minor_units=cents),
        memo=memo,
    )


def new_key() -> str:
    """Return a fresh idempotency key."""
    return uuid.uuid4().hex
