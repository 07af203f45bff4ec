"""The projection of balances: topics payments and transfers, group `customers`.

Only the account positions of an event are read. They are absolute and numbered, so the order
between topics and any redelivery do not matter: the highest position of an account wins.
"""

from collections.abc import Sequence

from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_events_pb2 import TransferEvent
from google.protobuf.message import DecodeError

from services.chassis.kafka import BadMessage, Record, Subscription
from services.contracts.topics import topic_of
from services.customers import mapping
from services.customers.settings import CustomersSettings
from services.customers.state import Balance, latest
from services.customers.store import Store

GROUP = "customers"
TOPICS = tuple(topic_of(kind).name for kind in (PaymentEvent, TransferEvent))


def subscription(settings: CustomersSettings) -> Subscription:
    """Return what this process reads. A short linger: callers may wait for a balance."""
    return Subscription.of(
        settings, group=GROUP, topics=TOPICS, linger_ms=settings.projection_linger_ms
    )


class Projection:
    """Applies batches of events to the balances, one statement a batch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, records: Sequence[Record]) -> None:
        """Apply a batch; raise BadMessage for an event that cannot be true."""
        balances = latest(balance for record in records for balance in _balances(record))
        if balances:
            await self._store.apply(balances)


def _balances(record: Record) -> list[Balance]:
    try:
        return mapping.balances_of_event(record.value)
    except DecodeError as error:
        raise BadMessage("UNDECODABLE", str(error)) from error
    except ValueError as error:
        raise BadMessage("INVALID_POSITION", str(error)) from error
