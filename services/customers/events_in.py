"""The projection of balances: topics payments and transfers, group `customers`.

It reads only the account positions of an event. They are absolute and numbered, so neither the
order between topics nor a redelivery matters: the highest position of an account wins.
"""

from collections.abc import Sequence

from services.chassis.kafka import Record, Subscription
from services.customers import mapping
from services.customers.settings import GROUP, TOPICS, CustomersSettings
from services.customers.state import latest
from services.customers.store import Store


def subscription(settings: CustomersSettings) -> Subscription:
    """Return what this process reads, with a short linger because callers wait for a balance."""
    return Subscription.of(
        settings, group=GROUP, topics=TOPICS, linger_ms=settings.projection_linger_ms
    )


class Projection:
    """Applies batches of events to the balances, one statement a batch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, records: Sequence[Record]) -> None:
        """Apply a batch; raise BadMessage for an event that is unreadable or impossible."""
        balances = latest(
            balance for record in records for balance in mapping.balances_of_event(record.value)
        )
        if balances:
            await self._store.apply(balances)
