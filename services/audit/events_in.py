"""Consumer group `audit`: appends the events of audit-logs to the log, a batch per transaction."""

from collections.abc import Sequence

from services.audit.mapping import to_entry
from services.audit.settings import GROUP, TOPIC, AuditSettings
from services.audit.store import Store
from services.chassis.kafka import Record, Subscription


def subscription(settings: AuditSettings) -> Subscription:
    """Return the topics that this process reads, and how it reads them."""
    return Subscription.of(
        settings,
        group=GROUP,
        topics=(TOPIC,),
        linger_ms=settings.batch_linger_ms,
        batch_rows_max=settings.batch_rows_max,
    )


class Recorder:
    """Handles the batches of the group."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, records: Sequence[Record]) -> None:
        """Append the batch; events that are already recorded change nothing."""
        await self._store.append([to_entry(record) for record in records])
