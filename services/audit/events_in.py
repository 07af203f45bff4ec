"""Group `audit`: what comes over audit-logs goes into the log, a batch in one transaction."""

from collections.abc import Sequence

from services.audit.mapping import to_entry
from services.audit.settings import GROUP, TOPIC, AuditSettings
from services.audit.store import Store
from services.chassis.kafka import Record, Subscription


def subscription(settings: AuditSettings) -> Subscription:
    """Return what this process reads, and how."""
    return Subscription.of(
        settings,
        group=GROUP,
        topics=(TOPIC,),
        linger_ms=settings.batch_linger_ms,
        batch_rows_max=settings.batch_rows_max,
    )


class Recorder:
    """Handler of the group's batches."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, records: Sequence[Record]) -> None:
        """Append the batch; what is on record already changes nothing."""
        await self._store.append([to_entry(record) for record in records])
